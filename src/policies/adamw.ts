// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) on a vector of doubles, with the engine's
// conventions: clipping as torch.nn.utils.clip_grad_norm_, epsilon outside of the root.
import { type AdamWOptions, adamWSettings } from '../engine/optimizer.js';
import { AlignlabError } from '../errors.js';

export interface Moments {
  readonly first: Float64Array;
  readonly second: Float64Array;
}

export const normOf = (values: Float64Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

// One parameter, which is no bias: weight decay reaches it unless a pattern says otherwise.
const slot = { name: 'parameters', kind: 'matrix', rows: 1, cols: 1 } as const;
const tensor = {
  name: 'parameters',
  shape: [1],
  slot: 'parameters',
  view: { offset: 0, dims: [1], strides: [1] },
};

/** Moves `parameters` in place and returns the norm before clipping. `step` counts from 1. */
export const adamWStep = (
  parameters: Float64Array,
  gradients: Float64Array,
  { first, second }: Moments,
  step: number,
  options: AdamWOptions,
): number => {
  const settings = adamWSettings(options, [slot], [tensor]);
  const { learningRate, beta1, beta2, epsilon, maxGradNorm } = settings;
  const decay = settings.decays[0] === 1 ? settings.weightDecay : 0;
  const norm = normOf(gradients);
  if (!Number.isFinite(norm)) {
    throw new AlignlabError(
      'NON_FINITE',
      'The gradient norm is not finite; the step was left out. Lower the learning rate.',
    );
  }
  const scale = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (norm + 1e-6)) : 1;
  const [bias1, bias2] = [1 - beta1 ** step, 1 - beta2 ** step];
  for (let i = 0; i < parameters.length; i += 1) {
    const gradient = scale * gradients[i]!;
    first[i] = beta1 * first[i]! + (1 - beta1) * gradient;
    second[i] = beta2 * second[i]! + (1 - beta2) * gradient * gradient;
    const move = first[i]! / bias1 / (Math.sqrt(second[i]! / bias2) + epsilon);
    parameters[i]! -= learningRate * (move + decay * parameters[i]!);
  }
  return norm;
};
