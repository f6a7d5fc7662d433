// Reference models for the tests of the engine, and their weights and gradients as arrays.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { openSafetensors } from '../../src/checkpoint/safetensors.js';
import { readTensor } from '../../src/checkpoint/tensor-data.js';
import type { LoadOptions } from '../../src/engine/load.js';
import { LanguageModel } from '../../src/engine/model.js';
import { smallConfig } from '../checkpoint/helpers.js';

export { golden } from './reference-files.js';

/** Disposed of when the test ends. */
export const owned = <T extends AsyncDisposable>(t: ExecutionContext, thing: T): T => {
  t.teardown(() => thing[Symbol.asyncDispose]());
  return thing;
};

export const load = async (
  t: ExecutionContext,
  folder: string,
  options: LoadOptions = {},
): Promise<LanguageModel> => owned(t, await LanguageModel.load(folder, options));

/**
 * Random weights in the smallest interesting shape of a family: no size is a multiple of the widths
 * that kernels work in. Vocabulary 17, 128 positions.
 */
export const odd = async (
  t: ExecutionContext,
  family: string,
  { dtype = 'f32', seed = 1 }: { dtype?: 'f32' | 'bf16'; seed?: number } = {},
): Promise<LanguageModel> => {
  const positions = { max_position_embeddings: 128, n_positions: 128, n_inner: 22 };
  const config = { ...smallConfig(family), ...positions, initializer_range: 0.3 };
  return owned(t, await LanguageModel.create(config, { dtype, seed }));
};

const inScratch = async <T>(work: (folder: string) => Promise<T>): Promise<T> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

export type Tensors = Map<string, Float32Array>;

export const tensorsOf = async (path: string): Promise<Tensors> => {
  const file = await openSafetensors(path);
  const tensors: Tensors = new Map();
  for (const name of file.tensors.keys()) {
    tensors.set(name, Float32Array.from(await readTensor(file, name)));
  }
  return tensors;
};

export const gradientsOf = (model: LanguageModel): Promise<Tensors> =>
  inScratch(async (folder) => {
    const path = join(folder, 'gradients.safetensors');
    await model.saveGradients(path);
    return tensorsOf(path);
  });

/** The master weights. */
export const weightsOf = (model: LanguageModel): Promise<Tensors> =>
  inScratch(async (folder) => {
    await model.save(join(folder, 'model'), { dtype: 'F32', maxShardBytes: Infinity });
    return tensorsOf(join(folder, 'model', 'model.safetensors'));
  });

/** All bytes of the master weights, for comparing models bit for bit. */
export const weightBytes = (model: LanguageModel): Promise<Buffer> =>
  inScratch(async (folder) => {
    await model.save(join(folder, 'model'), { dtype: 'F32', maxShardBytes: Infinity });
    return readFile(join(folder, 'model', 'model.safetensors'));
  });
