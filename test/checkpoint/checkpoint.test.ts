// Whole folders: single and sharded files, both spellings of names, and what does not fit together.
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { openSafetensors } from '../../src/checkpoint/safetensors.js';
import { type TensorData, readTensor, writeSafetensors } from '../../src/checkpoint/tensor-data.js';
import type { ErrorCode } from '../../src/errors.js';
import {
  type Config,
  assertError,
  caught,
  familyNames,
  goldenModels,
  randomTensors,
  smallConfig,
  temporaryFolder,
  writeCheckpoint,
} from './helpers.js';

test('reference checkpoints are read', async (t) => {
  for (const folder of await goldenModels()) {
    const checkpoint = await readCheckpoint(folder);
    const file = await openSafetensors(join(folder, 'model.safetensors'));
    t.is(checkpoint.tensors.length, file.tensors.size);
    t.is(checkpoint.dtype, 'F32');
    const stored = [...file.tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
    t.is(checkpoint.parameters, stored / 4);
    for (const { name, begin, end } of checkpoint.tensors) {
      t.deepEqual([begin, end], [file.tensors.get(name)?.begin, file.tensors.get(name)?.end]);
    }
    const text = await readFile(join(folder, 'generation_config.json'), 'utf8');
    const generation = JSON.parse(text) as { eos_token_id: number; bos_token_id: number };
    t.deepEqual(checkpoint.generation, {
      eos: [generation.eos_token_id],
      bos: generation.bos_token_id,
    });
  }
});

for (const family of familyNames) {
  test(`${family}: names with and without the prefix`, async (t) => {
    const folder = await temporaryFolder(t);
    const config = smallConfig(family);
    const tensors = randomTensors(config);
    const { prefix } = (await readCheckpoint(await writeCheckpoint(folder, config))).family;
    const bare = [...tensors].map(([name, data]) => [name.replace(prefix, ''), data] as const);
    t.true(bare.some(([name]) => !tensors.has(name)));
    const checkpoint = await readCheckpoint(await writeCheckpoint(folder, config, new Map(bare)));
    t.deepEqual(
      checkpoint.tensors.map(({ name }) => name),
      bare.map(([name]) => name),
    );
    const mixed = new Map([...bare.slice(0, 1), ...[...tensors].slice(1)]);
    const error = await caught(async () =>
      readCheckpoint(await writeCheckpoint(folder, config, mixed)),
    );
    assertError(t, error, 'CHECKPOINT_INVALID', 'missing', [...tensors.keys()][0] ?? '');
  });
}

/** Changes the tensors of a small checkpoint and says what reading it gives. */
const readChanged = async (
  t: ExecutionContext,
  config: Config,
  change: (tensors: Map<string, TensorData>) => void,
): Promise<unknown> => {
  const tensors = randomTensors(config);
  change(tensors);
  const folder = await writeCheckpoint(await temporaryFolder(t), config, tensors);
  return caught(() => readCheckpoint(folder));
};

const vector = (length: number): TensorData => ({
  shape: [length],
  data: new Float32Array(length),
});

test('missing, extra, misshaped and integer tensors are refused by name', async (t) => {
  const config = smallConfig('llama');
  const norm = 'model.layers.1.input_layernorm.weight';
  const refused = async (
    change: (tensors: Map<string, TensorData>) => void,
    ...says: string[]
  ): Promise<void> => {
    assertError(t, await readChanged(t, config, change), 'CHECKPOINT_INVALID', ...says);
  };
  await refused((tensors) => tensors.delete(norm), '1 of 21', norm);
  await refused((tensors) => tensors.delete('lm_head.weight'), 'tie_word_embeddings');
  await refused((tensors) => tensors.set('model.extra', vector(1)), '1 tensors', '"model.extra"');
  await refused(
    (tensors) => tensors.set('model.layers.0.self_attn.q_proj.bias', vector(24)),
    'q_proj.bias',
  );
  await refused((tensors) => tensors.set(norm, vector(13)), norm, '[13]', '[12]');
  await refused((tensors) => {
    tensors.set(norm, { shape: [12, 1], data: new Float32Array(12) });
  }, '[12, 1]');
  await refused(
    (tensors) => {
      tensors.set(norm, { shape: [12], data: new Int32Array(12) });
    },
    norm,
    'I32',
  );
});

test('buffers that mean nothing are passed over', async (t) => {
  const cases: readonly [string, string][] = [
    ['llama', 'model.layers.0.self_attn.rotary_emb.inv_freq'],
    ['llama', 'v_head.summary.weight'],
    ['gpt2', 'transformer.h.0.attn.bias'],
    ['gpt2', 'transformer.h.1.attn.masked_bias'],
    ['gpt_neox', 'gpt_neox.layers.0.attention.bias'],
    ['gpt_neox', 'gpt_neox.layers.0.attention.masked_bias'],
    ['gpt_neox', 'gpt_neox.layers.0.attention.rotary_emb.inv_freq'],
  ];
  for (const [family, name] of cases) {
    const add = (tensors: Map<string, TensorData>) => tensors.set(name, vector(4));
    t.is(await readChanged(t, smallConfig(family), add), undefined, name);
  }
});

test('gpt_neox: the head may be called lm_head', async (t) => {
  const rename = (tensors: Map<string, TensorData>): void => {
    tensors.set('lm_head.weight', tensors.get('embed_out.weight') ?? vector(0));
    tensors.delete('embed_out.weight');
  };
  t.is(await readChanged(t, smallConfig('gpt_neox'), rename), undefined);
});

test('the head of a tied model must be the embedding', async (t) => {
  const config = smallConfig('llama', { tie_word_embeddings: true });
  const embedding = (tensors: Map<string, TensorData>): TensorData =>
    tensors.get('model.embed_tokens.weight') ?? vector(0);
  const same = await readChanged(t, config, (tensors) => {
    tensors.set('lm_head.weight', embedding(tensors));
  });
  t.is(same, undefined);
  const other = await readChanged(t, config, (tensors) => {
    const { shape, data } = embedding(tensors);
    const changed = data.slice();
    changed[changed.length - 1] = 9;
    tensors.set('lm_head.weight', { shape, data: changed });
  });
  assertError(t, other, 'CHECKPOINT_INVALID', 'lm_head.weight', 'tie_word_embeddings');
});

test('a scalar head needs score.weight and no vocabulary head', async (t) => {
  const architectures = ['LlamaForSequenceClassification'];
  const config = smallConfig('llama', { architectures, num_labels: 1 });
  const folder = await writeCheckpoint(await temporaryFolder(t), config);
  const checkpoint = await readCheckpoint(folder);
  t.deepEqual(checkpoint.tensors.at(-1)?.shape, [1, 12]);
  t.is(checkpoint.tensors.at(-1)?.name, 'score.weight');
  const without = await readChanged(t, config, (tensors) => tensors.delete('score.weight'));
  assertError(t, without, 'CHECKPOINT_INVALID', 'score.weight');
});

test('folders without what they need are refused', async (t) => {
  const folder = await temporaryFolder(t);
  const refused = async (path: string, code: ErrorCode, ...says: string[]): Promise<void> => {
    assertError(t, await caught(() => readCheckpoint(path)), code, ...says);
  };
  await refused(join(folder, 'none'), 'CHECKPOINT_NOT_FOUND', 'does not exist');
  await refused(folder, 'CHECKPOINT_NOT_FOUND', 'config.json');
  await writeFile(join(folder, 'config.json'), '{"model_type": "llama",');
  await refused(join(folder, 'config.json'), 'CHECKPOINT_NOT_FOUND', 'not a folder');
  await refused(folder, 'CONFIG_INVALID', 'not valid JSON');
  await writeFile(join(folder, 'config.json'), '[]');
  await refused(folder, 'CONFIG_INVALID', 'a JSON object');
  await writeFile(join(folder, 'config.json'), JSON.stringify(smallConfig('llama')));
  await refused(folder, 'CHECKPOINT_NOT_FOUND', 'model.safetensors');
  await writeFile(join(folder, 'pytorch_model.bin'), '');
  await refused(folder, 'CHECKPOINT_NOT_FOUND', 'pytorch_model.bin', 'safe_serialization');
  await writeFile(join(folder, 'generation_config.json'), '3');
  await refused(folder, 'CONFIG_INVALID', 'generation_config.json');
  await rm(join(folder, 'config.json'));
  await mkdir(join(folder, 'config.json'));
  await refused(folder, 'IO_FAILED', 'it is a folder');
});

test('ids that end a sequence: one, many, none, beyond the vocabulary, nonsense', async (t) => {
  const folder = await temporaryFolder(t);
  const idsOf = async (generation: Config | null, config: Config = {}) => {
    await writeCheckpoint(folder, smallConfig('llama', config));
    const path = join(folder, 'generation_config.json');
    if (generation) await writeFile(path, JSON.stringify(generation));
    else await rm(path, { force: true });
    return (await readCheckpoint(folder)).generation;
  };
  t.deepEqual(await idsOf(null), { eos: [], bos: null });
  t.deepEqual(await idsOf(null, { eos_token_id: 2, bos_token_id: 1 }), { eos: [2], bos: 1 });
  t.deepEqual(await idsOf({ eos_token_id: [3, 4, 17] }, { eos_token_id: 2, bos_token_id: 0 }), {
    eos: [3, 4],
    bos: 0,
  });
  const error = await caught(() => idsOf({ eos_token_id: 'two' }));
  assertError(t, error, 'CONFIG_INVALID', 'generation_config.json', '"eos_token_id" is "two"');
});

const shardNames = [
  'model-00001-of-00002.safetensors',
  'model-00002-of-00002.safetensors',
] as const;

/** A small llama in two shards. */
const writeShards = async (folder: string): Promise<Record<string, string>> => {
  const config = smallConfig('llama');
  const tensors = [...randomTensors(config)];
  const weightMap: Record<string, string> = {};
  for (const [index, shard] of shardNames.entries()) {
    const part = index === 0 ? tensors.slice(0, 9) : tensors.slice(9);
    for (const [name] of part) weightMap[name] = shard;
    await writeSafetensors(join(folder, shard), new Map(part));
  }
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  return weightMap;
};

test('shards are read, and read as the single file is', async (t) => {
  const folder = await temporaryFolder(t);
  const weightMap = await writeShards(folder);
  const index = { metadata: { total_size: 1 }, weight_map: weightMap };
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
  const sharded = await readCheckpoint(folder);
  const tensors = randomTensors(smallConfig('llama'));
  t.is(new Set(sharded.tensors.map(({ file }) => file)).size, 2);
  for (const { name, file } of sharded.tensors) {
    const values = await readTensor(await openSafetensors(file), name);
    t.deepEqual(values, tensors.get(name)?.data, name);
  }
});

test('broken indexes are refused', async (t) => {
  const folder = await temporaryFolder(t);
  const weightMap = await writeShards(folder);
  const [first, second] = shardNames;
  const outside = join(folder, '..', 'x.safetensors');
  const cases: readonly [index: unknown, code: ErrorCode, says: string][] = [
    [{}, 'CHECKPOINT_INVALID', 'weight_map'],
    [{ weight_map: {} }, 'CHECKPOINT_INVALID', 'weight_map'],
    [{ weight_map: [first] }, 'CHECKPOINT_INVALID', 'weight_map'],
    [{ weight_map: { ...weightMap, a: 3 } }, 'CHECKPOINT_INVALID', 'in 3'],
    [{ weight_map: { ...weightMap, a: `../${first}` } }, 'CHECKPOINT_INVALID', 'plain name'],
    [{ weight_map: { ...weightMap, a: outside } }, 'CHECKPOINT_INVALID', 'plain name'],
    [{ weight_map: { ...weightMap, a: '..' } }, 'CHECKPOINT_INVALID', 'plain name'],
    [{ weight_map: { ...weightMap, a: `sub/${first}` } }, 'CHECKPOINT_INVALID', 'plain name'],
    [{ weight_map: { ...weightMap, a: `x\0${first}` } }, 'CHECKPOINT_INVALID', 'plain name'],
    [{ weight_map: { ...weightMap, a: 'none.safetensors' } }, 'CHECKPOINT_NOT_FOUND', 'none'],
    [{ weight_map: { ...weightMap, a: first } }, 'CHECKPOINT_INVALID', `"a" is not in ${first}`],
    [
      { weight_map: { ...weightMap, 'model.norm.weight': first } },
      'CHECKPOINT_INVALID',
      '"model.norm.weight" is not in',
    ],
  ];
  for (const [index, code, says] of cases) {
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
    assertError(t, await caught(() => readCheckpoint(folder)), code, says);
  }
  await rm(join(folder, second));
  await symlink(first, join(folder, second));
  const index = join(folder, 'model.safetensors.index.json');
  await writeFile(index, JSON.stringify({ weight_map: weightMap }));
  const error = await caught(() => readCheckpoint(folder));
  assertError(t, error, 'CHECKPOINT_INVALID', `in both ${first} and ${second}`);
});
