// AdamW as an option of train(): its settings, checked when they are written down.
import type { AdamWOptions } from '../engine/optimizer.js';
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown } from '../options.js';

export interface Optimizer extends AdamWOptions {
  readonly name: 'adamw';
}

const names: OptionNames<AdamWOptions> = {
  learningRate: true,
  betas: true,
  epsilon: true,
  weightDecay: true,
  noDecay: true,
  maxGradNorm: true,
};

/**
 * AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) with clipping by the global norm. Ranges are
 * checked by the engine at the first step; names and the learning rate here.
 */
export const adamW = (options: AdamWOptions): Optimizer => {
  refuseUnknown('adamW', options, names);
  if (!(Number.isFinite(options.learningRate) && options.learningRate >= 0)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `learningRate must be a number from 0 up, got ${String(options.learningRate)}.`,
    );
  }
  return { name: 'adamw', ...options };
};

/** For the manifest. */
export const describeOptimizer = ({ name, noDecay, betas, ...rest }: Optimizer) => ({
  name,
  ...rest,
  ...(betas ? { betas: [...betas] } : {}),
  noDecay: String(noDecay ?? 'biases-and-norms'),
});
