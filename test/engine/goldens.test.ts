// What other implementations computed: transformers' values for a tiny model of each family and
// for a pretrained one, and a sorting network's probabilities.
import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors } from '../../src/checkpoint/tensor-data.js';
import { type Comparison, compareWithReference } from '../../src/evaluation/reference.js';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { load } from '../helpers/models.js';
import { goldens, referenceTest as test, shared } from '../helpers/reference-files.js';

const families = existsSync(goldens) ? (await readdir(join(goldens, 'models'))).sort() : ['llama'];
if (families.length === 0) throw new Error(`${goldens}/models is empty`);

const failures = (rows: readonly Comparison[]): string[] =>
  rows
    .filter(({ passes }) => !passes)
    .map(
      ({ quantity, error, tolerance, unit, where }) =>
        `${quantity}: ${error} ${unit} (allowed ${tolerance}) ${where}`,
    );

/** Values that a folder of references lost must not pass by being left out. */
const common = [/^log-probs$/, /^gradient of /, /^greedy tokens /];
const ofFamilies = [...common, /^entropies$/, /^gradient norm$/, /^AdamW step of /];

for (const family of families) {
  test(`${family} agrees with transformers`, async (t) => {
    const rows = await compareWithReference(join(goldens, 'models', family));
    t.deepEqual(failures(rows), []);
    for (const kind of ofFamilies) {
      t.true(
        rows.some(({ quantity }) => kind.test(quantity)),
        `no ${kind} was compared`,
      );
    }
  });
}

test('the pretrained stories260k agrees with transformers', async (t) => {
  // A folder of other families need not have a pretrained model; ours must.
  const own = join(goldens, 'stories260k');
  const rows = await compareWithReference(
    existsSync(own) ? own : join(shared, 'goldens', 'stories260k'),
    join(shared, 'models', 'stories260k'),
  );
  t.deepEqual(failures(rows), []);
  for (const kind of common) {
    t.true(
      rows.some(({ quantity }) => kind.test(quantity)),
      `no ${kind} was compared`,
    );
  }
});

interface JsonTensor {
  readonly shape: readonly number[];
  readonly data: string;
}

const readTensors = async (name: string): Promise<Map<string, JsonTensor>> => {
  const path = join(shared, 'models', 'gpt-nano-sort', `gpt-nano-sort-${name}.json`);
  const { config: _, ...tensors } = JSON.parse(await readFile(path, 'utf8')) as Record<
    string,
    JsonTensor
  >;
  return new Map(Object.entries(tensors));
};

const decoded = ({ data }: JsonTensor): Float32Array => {
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  return new Float32Array(bytes.buffer);
};

/** minGPT keeps Linear weights (out, in); GPT-2 checkpoints have Conv1D weights (in, out). */
const transposed = (values: Float32Array, [out, inputs]: readonly [number, number]) =>
  Float32Array.from(values, (_, i) => values[(i % out) * inputs + Math.floor(i / out)]!);

const sorterFolder = async (folder: string): Promise<string> => {
  const source = await readTensors('model');
  const tensors = [...source].flatMap(([name, tensor]) => {
    if (name.endsWith('.attn.bias')) return []; // the causal mask
    const [out = 0, inputs = 0] = tensor.shape;
    const data = decoded(tensor);
    return /\.(c_attn|c_proj|c_fc)\.weight$/.test(name)
      ? [[name, { shape: [inputs, out], data: transposed(data, [out, inputs]) }] as const]
      : [[name, { shape: tensor.shape, data }] as const];
  });
  const config = {
    model_type: 'gpt2',
    architectures: ['GPT2LMHeadModel'],
    n_embd: 48,
    n_head: 3,
    n_layer: 3,
    n_positions: 11,
    vocab_size: 3,
    tie_word_embeddings: false,
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeSafetensors(join(folder, 'model.safetensors'), new Map(tensors));
  return folder;
};

test('gpt-nano-sort gives the probabilities that its makers recorded', async (t) => {
  const model = await load(t, await sorterFolder(await temporaryFolder(t)));
  const partials = await readTensors('t0-partials');
  const idx = decoded(partials.get('idx')!);
  const probs = decoded(partials.get('probs')!);
  // Positions 0 to 9 of 11: the last one's next token would be a twelfth.
  for (let b = 0; b < 3; ++b) {
    for (let i = 0; i < 10; ++i) {
      const context = Int32Array.from(idx.slice(b * 11, b * 11 + i + 1));
      const { logProbs } = await model.score([
        { tokens: context, scored: false },
        ...[0, 1, 2].map((token) => ({ tokens: [token], parent: 0 })),
      ]);
      logProbs.forEach((logProb, token) => {
        const expected = probs[(b * 11 + i) * 3 + token]!;
        // f32 on both sides, with the logits up to 12 apart.
        t.true(Math.abs(Math.exp(logProb) - expected) < 2e-6, `row ${b}, position ${i}`);
      });
    }
  }
});

test('gpt-nano-sort sorts', async (t) => {
  const model = await load(t, await sorterFolder(await temporaryFolder(t)));
  const prompts = Array.from({ length: 3 ** 6 }, (_, n) =>
    Array.from({ length: 6 }, (_, i) => Math.floor(n / 3 ** i) % 3),
  );
  // Eleven positions hold six digits and five of the answer, which determine the sixth.
  const results = await model.generate(prompts, {
    temperature: 0,
    maxNewTokens: 5,
    stopTokens: [],
  });
  const wrong = results
    .filter(({ tokens }, i) => [...tokens].join() !== prompts[i]!.toSorted().slice(0, 5).join())
    .map(({ prompt }) => prompts[prompt]);
  t.deepEqual(wrong, []);
});
