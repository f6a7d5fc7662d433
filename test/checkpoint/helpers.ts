// Shared by the checkpoint tests: reference folders, small configs, random checkpoints.
import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { describeModel } from '../../src/checkpoint/config.js';
import { families } from '../../src/checkpoint/families/index.js';
import { type TensorData, writeSafetensors } from '../../src/checkpoint/tensor-data.js';
import { AlignlabError, type ErrorCode } from '../../src/errors.js';
import { goldenModelsFolder } from '../helpers/reference-files.js';

/** Folders with reference models. */
export const goldenModels = async (): Promise<string[]> => {
  const names = (await readdir(goldenModelsFolder)).filter((name) => name !== 'reward');
  if (names.length === 0) throw new Error(`${goldenModelsFolder} is empty`);
  return names.sort().map((name) => join(goldenModelsFolder, name));
};

export const temporaryFolder = async (t: ExecutionContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

/** mulberry32: small, seeded, good enough for tests. */
export const randomNumbers = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
  return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
};

export type Config = Record<string, unknown>;

const decoder = {
  hidden_size: 12,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  intermediate_size: 10,
  vocab_size: 17,
  max_position_embeddings: 32,
  head_dim: 6,
};

/** The smallest interesting config of each family: grouped heads, head_dim other than D / H. */
export const smallConfigs: Readonly<Record<string, Config>> = {
  llama: { model_type: 'llama', ...decoder },
  mistral: { model_type: 'mistral', ...decoder, sliding_window: null },
  qwen2: { model_type: 'qwen2', ...decoder },
  qwen3: { model_type: 'qwen3', ...decoder },
  gpt2: { model_type: 'gpt2', n_embd: 12, n_head: 3, n_layer: 2, vocab_size: 17, n_positions: 9 },
  gpt_neox: {
    model_type: 'gpt_neox',
    hidden_size: 12,
    num_attention_heads: 3,
    num_hidden_layers: 2,
    intermediate_size: 10,
    vocab_size: 17,
    max_position_embeddings: 32,
    rotary_pct: 0.5,
  },
};

export const smallConfig = (family: string, changes: Config = {}): Config => {
  const config = smallConfigs[family];
  if (!config) throw new Error(`no small config of ${family}; add one to helpers.ts`);
  return { ...config, ...changes };
};

export const familyNames = families.map(({ modelType }) => modelType);

/** Random tensors for a config, by their Hugging Face names. */
export const randomTensors = (config: Config, seed = 1): Map<string, TensorData> => {
  const random = randomNumbers(seed);
  return new Map(
    describeModel(config, 'test').tensors.map(({ name, shape }) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return [name, { shape, data: Float32Array.from({ length }, () => random() - 0.5) }];
    }),
  );
};

export const writeCheckpoint = async (
  folder: string,
  config: Config,
  tensors: ReadonlyMap<string, TensorData> = randomTensors(config),
): Promise<string> => {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return folder;
};

/** Fails unless the error is ours, with this code, and its message says these things. */
export const assertError = (
  t: ExecutionContext,
  error: unknown,
  code: ErrorCode,
  ...parts: readonly (string | RegExp)[]
): void => {
  if (!(error instanceof AlignlabError)) {
    t.fail(`expected an AlignlabError, got ${String(error)}`);
    return;
  }
  t.is(error.code, code, error.message);
  for (const part of parts) {
    t.true(
      typeof part === 'string' ? error.message.includes(part) : part.test(error.message),
      `"${error.message}" does not say ${String(part)}`,
    );
  }
};

export const caught = async (action: () => unknown): Promise<unknown> => {
  try {
    await action();
  } catch (error) {
    return error;
  }
  return undefined;
};
