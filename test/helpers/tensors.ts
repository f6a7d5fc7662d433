// A model's weights and gradients as arrays, read from what it saves. Nothing of the test runner in
// here: programs in processes of their own use it, too.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors } from '../../src/checkpoint/safetensors.js';
import { readTensor } from '../../src/checkpoint/tensor-data.js';
import type { LanguageModel } from '../../src/engine/model.js';

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

const norm = (values: Float32Array): number => Math.hypot(...values);

/** Largest distance of a tensor from its other, by the norm of all of them. */
export const distance = (a: Tensors, b: Tensors): number => {
  const whole = Math.hypot(...[...b.values()].map(norm));
  return Math.max(
    ...[...a].map(([name, x]) => norm(x.map((value, i) => value - b.get(name)![i]!)) / whole),
  );
};
