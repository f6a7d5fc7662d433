// Reference models for the tests of the engine.
import type { ExecutionContext } from 'ava';
import type { LoadOptions } from '../../src/engine/load.js';
import { LanguageModel } from '../../src/engine/model.js';
import { smallConfig } from '../checkpoint/helpers.js';

export { golden } from './reference-files.js';
export { type Tensors, gradientsOf, tensorsOf, weightBytes, weightsOf } from './tensors.js';

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
