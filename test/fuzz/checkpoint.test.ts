// Mutated safetensors files and configs: each is read or refused with an AlignlabError, quickly and
// within the file. Seeded, so that a failure repeats; ALIGNLAB_FUZZ_RUNS makes a longer run.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { describeModel } from '../../src/checkpoint/config.js';
import { encodeHeader, openSafetensors } from '../../src/checkpoint/safetensors.js';
import { limits } from '../../src/checkpoint/shape.js';
import { readTensor } from '../../src/checkpoint/tensor-data.js';
import { AlignlabError } from '../../src/errors.js';
import {
  type Config,
  familyNames,
  randomNumbers,
  smallConfig,
  temporaryFolder,
} from '../checkpoint/helpers.js';

const runs = Number(process.env.ALIGNLAB_FUZZ_RUNS ?? 1500);

type Random = () => number;
const below = (random: Random, n: number): number => Math.floor(random() * n);
const pick = <Item>(random: Random, items: readonly Item[]): Item => {
  const item = items[below(random, items.length)];
  if (item === undefined) throw new Error('pick from an empty list');
  return item;
};

const entries = [
  { name: 'a', dtype: 'F32', shape: [2, 3] },
  { name: 'b', dtype: 'BF16', shape: [5] },
  { name: 'c.weight', dtype: 'I32', shape: [] },
  { name: 'd', dtype: 'F16', shape: [0, 4] },
] as const;

const validFile = (): Buffer => {
  const { bytes, size } = encodeHeader(entries, { format: 'pt' });
  return Buffer.concat([bytes, Buffer.alloc(size - bytes.length, 7)]);
};

/** Tokens that change what a header means without breaking its JSON. */
const replacements: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\d+/g, ['0', '1', '-1', '4', '1e3', '0.5', '9007199254740993', '1e308', '-0', 'null', '"4"']],
  [/"(F32|BF16|I32|F16)"/g, ['"F32"', '"F64"', '"BOOL"', '"f32"', '7', 'null', '"__proto__"']],
  [/"(a|b|d|shape|dtype|data_offsets)"/g, ['"a"', '"shape"', '"__proto__"', '"constructor"', '""']],
  [/\[[^[\]]*\]/g, ['[]', '{}', 'null', '[[]]', '[0,0]', '[1,2,3,4]', '""']],
];

const mutateText = (random: Random, text: string): string => {
  const [pattern, values] = pick(random, replacements);
  const matches = [...text.matchAll(pattern)];
  const match = matches[below(random, matches.length)];
  if (!match) return text;
  const end = match.index + match[0].length;
  return text.slice(0, match.index) + pick(random, values) + text.slice(end);
};

const withLength = (json: Buffer, data: Buffer): Buffer => {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, data]);
};

const mutateFile = (random: Random, file: Buffer): Buffer => {
  const headerEnd = 8 + Number(file.readBigUInt64LE());
  const kind = below(random, 5);
  if (kind === 0) {
    const bytes = Buffer.from(file);
    for (let n = 1 + below(random, 4); n > 0; n--) {
      bytes[below(random, headerEnd)] = below(random, 256);
    }
    return bytes;
  }
  if (kind === 1) return file.subarray(0, below(random, file.length));
  if (kind === 2) return Buffer.concat([file, Buffer.alloc(1 + below(random, 9))]);
  let text = file.subarray(8, headerEnd).toString('utf8');
  for (let n = 1 + below(random, 3); n > 0; n--) text = mutateText(random, text);
  return withLength(Buffer.from(text), file.subarray(headerEnd));
};

test('mutated safetensors files are read within their bounds or refused', async (t) => {
  const path = join(await temporaryFolder(t), 'fuzz.safetensors');
  const random = randomNumbers(20240607);
  const original = validFile();
  let accepted = 0;
  for (let run = 0; run < runs; run++) {
    const bytes = mutateFile(random, original);
    await writeFile(path, bytes);
    try {
      const file = await openSafetensors(path);
      accepted++;
      for (const [name, { begin, end }] of file.tensors) {
        if (begin < 8 || end > bytes.length || begin > end)
          t.fail(`run ${run}: ${name} is outside`);
        await readTensor(file, name).catch((error: unknown) => {
          if (!(error instanceof AlignlabError)) throw error;
        });
      }
    } catch (error) {
      if (!(error instanceof AlignlabError)) {
        t.fail(`run ${run}: ${String(error)} for ${bytes.toString('latin1')}`);
      } else if (error.code !== 'CHECKPOINT_INVALID') t.fail(`run ${run}: ${error.code}`);
    }
  }
  // Both ways are exercised: mutations that keep a file valid exist, and most break it.
  t.true(accepted > 0 && accepted < runs / 2, `${accepted} of ${runs} accepted`);
});

const values: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  2,
  3,
  7,
  0.5,
  64,
  1e6,
  2 ** 31,
  2 ** 53,
  1e300,
  '',
  'silu',
  'gelu',
  'llama3',
  'linear',
  '__proto__',
  [],
  [1],
  ['full_attention', 'full_attention'],
  ['LlamaForSequenceClassification'],
  {},
  { factor: 2 },
  { type: 'linear', factor: 2 },
  { rope_type: 'llama3', factor: 0 },
  { full_attention: { rope_type: 'default' } },
  { full_attention: [] },
];

const keys = [
  ...new Set(familyNames.flatMap((family) => Object.keys(smallConfig(family)))),
  'rope_theta',
  'rope_scaling',
  'rope_parameters',
  'rotary_emb_base',
  'partial_rotary_factor',
  'original_max_position_embeddings',
  'hidden_act',
  'activation_function',
  'n_inner',
  'rms_norm_eps',
  'layer_norm_eps',
  'layer_norm_epsilon',
  'tie_word_embeddings',
  'attention_bias',
  'mlp_bias',
  'use_sliding_window',
  'max_window_layers',
  'layer_types',
  'architectures',
  'num_labels',
  'id2label',
  'quantization_config',
  'dtype',
];

const assertSane = (config: Config): void => {
  const { shape, slots } = describeModel(config, 'fuzz');
  const numbers = Object.entries(shape).filter(([, value]) => typeof value === 'number');
  const wrong = numbers.find(([, value]) => !Number.isFinite(value) || Number(value) < 0);
  if (wrong) throw new Error(`${wrong[0]} is ${String(wrong[1])}`);
  if (shape.heads % shape.kvHeads !== 0) throw new Error('heads');
  if (shape.rotaryDim % 2 !== 0 || shape.rotaryDim > shape.headDim) throw new Error('rotaryDim');
  if (!shape.inverseFrequencies.every((f) => f > 0 && f <= 1)) throw new Error('frequencies');
  if (slots.length > 20 * limits.layers) throw new Error('slots');
  const large = slots.find(({ rows, cols }) => !Number.isSafeInteger(rows * cols * 8));
  if (large) throw new Error(`${large.name} overflows`);
};

test('mutated configs are described soundly or refused', (t) => {
  const random = randomNumbers(7);
  let accepted = 0;
  for (let run = 0; run < runs * 4; run++) {
    const config = smallConfig(pick(random, familyNames));
    for (let n = 1 + below(random, 3); n > 0; n--)
      config[pick(random, keys)] = pick(random, values);
    try {
      assertSane(config);
      accepted++;
    } catch (error) {
      if (error instanceof AlignlabError) continue;
      t.fail(`run ${run}: ${String(error)} for ${JSON.stringify(config)}`);
    }
  }
  t.true(accepted > runs / 10, `${accepted} of ${runs * 4} accepted`);
});
