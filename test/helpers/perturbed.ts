// A model's objective as a function of its weights, for finite differences.
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors } from '../../src/checkpoint/safetensors.js';
import { writeSafetensors } from '../../src/checkpoint/tensor-data.js';
import type { Batch } from '../../src/engine/batch.js';
import type { Coefficients } from '../../src/engine/forward-pass.js';
import { type ForwardOptions, LanguageModel } from '../../src/engine/model.js';
import { dot } from './arrays.js';
import { type Tensors, gradientsOf, tensorsOf } from './models.js';

/** Sum of coefficient times result over a batch: what backward() differentiates. */
export interface Objective {
  readonly batch: Batch;
  readonly options: ForwardOptions;
  readonly coefficients: Coefficients;
}

const valueOf = async (model: LanguageModel, objective: Objective): Promise<number> => {
  const { batch, options, coefficients } = objective;
  const { logProbs, entropies, scalars } = await model.score(batch, options);
  return (
    (coefficients.logProbs ? dot(coefficients.logProbs, logProbs) : 0) +
    (coefficients.entropies ? dot(coefficients.entropies, entropies) : 0) +
    (coefficients.scalars ? dot(coefficients.scalars, scalars) : 0)
  );
};

/** The model's gradients of the objective alone; what had been accumulated is cleared. */
export const gradientsFor = async (
  model: LanguageModel,
  { batch, options, coefficients }: Objective,
): Promise<Tensors> => {
  await model.zeroGradients();
  const pass = await model.forward(batch, options);
  await pass.backward(coefficients);
  const gradients = await gradientsOf(model);
  await model.zeroGradients();
  return gradients;
};

/**
 * Runs `body` with a function that gives the derivative of the objective along a direction in the
 * space of weights: the five-point central difference, whose error is of fourth order in the step.
 */
export const withDerivative = async (
  folder: string,
  objective: Objective,
  body: (derivative: (direction: Tensors, step: number) => Promise<number>) => Promise<void>,
): Promise<void> => {
  const weights = await tensorsOf(join(folder, 'model.safetensors'));
  const { tensors } = await openSafetensors(join(folder, 'model.safetensors'));
  const scratch = await mkdtemp(join(tmpdir(), 'alignlab-'));
  const at = async (direction: Tensors, step: number): Promise<number> => {
    const moved = [...weights].map(([name, data]) => {
      const towards = direction.get(name);
      const values = towards ? data.map((x, i) => x + step * towards[i]!) : data;
      return [name, { shape: tensors.get(name)!.shape, data: values }] as const;
    });
    await writeSafetensors(join(scratch, 'model.safetensors'), new Map(moved));
    await using model = await LanguageModel.load(scratch, { dtype: 'f32', trainable: false });
    return await valueOf(model, objective); // before the model is disposed of
  };
  try {
    await copyFile(join(folder, 'config.json'), join(scratch, 'config.json'));
    await body(async (direction, h) => {
      const near = (await at(direction, h)) - (await at(direction, -h));
      const far = (await at(direction, 2 * h)) - (await at(direction, -2 * h));
      return (8 * near - far) / (12 * h);
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};
