// The clipped policy-gradient surrogate that PPO, GRPO and RLOO share, and its range as an option.
import type { OptionSpec } from './objective.js';

export interface ClipRange {
  /** Ratios below 1 - epsilon and above 1 + epsilonHigh earn no more. */
  readonly epsilon: number;
  readonly epsilonHigh: number;
  /** Ratios above it count as it, whatever the advantage's sign (two-sided clipping); or null. */
  readonly delta?: number | null;
}

export const epsilonOption = {
  type: 'number',
  default: 0.2,
  min: 0,
  help: 'Ratios beyond 1 - epsilon and 1 + epsilon earn no more',
} as const satisfies OptionSpec;

export const epsilonHighOption = {
  type: 'number',
  default: null,
  min: 0,
  help: 'Upper side of the clip; null is epsilon',
} as const satisfies OptionSpec;

export interface Surrogate {
  readonly loss: number;
  /** Derivative of `loss` by the log-ratio. */
  readonly slope: number;
  readonly ratio: number;
  /** The ratio left the range on the side where its advantage stops counting. */
  readonly clippedLow: boolean;
  readonly clippedHigh: boolean;
}

// exp(20) = 5e8: no step near that ratio is meant; without a limit a loss could become infinite.
const largestLogRatio = 20;

const clamp = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));

/** exp(log-ratio), and its derivative: itself within 20 nats, 0 beyond. */
export const ratioOf = (logRatio: number): { ratio: number; slope: number } => {
  const ratio = Math.exp(clamp(logRatio, -largestLogRatio, largestLogRatio));
  return { ratio, slope: Math.abs(logRatio) <= largestLogRatio ? ratio : 0 };
};

/**
 * -min(rho A, clip(rho, 1 - epsilon, 1 + epsilonHigh) A), Schulman et al. 2017, eq. 7; the first
 * rho capped by delta. Its slope is 0 exactly where the clipped term is the smaller one.
 */
export const clippedSurrogate = (
  logRatio: number,
  advantage: number,
  { epsilon, epsilonHigh, delta = null }: ClipRange,
): Surrogate => {
  const { ratio, slope } = ratioOf(logRatio);
  const capped = Math.min(ratio, delta ?? Infinity);
  const clipped = clamp(ratio, 1 - epsilon, 1 + epsilonHigh);
  const usesRatio = capped * advantage <= clipped * advantage;
  const used = usesRatio ? capped : clipped;
  return {
    loss: -used * advantage,
    // Where `used` is the ratio itself neither clip nor cap holds it.
    slope: used === ratio ? -slope * advantage : 0,
    ratio,
    clippedLow: ratio < 1 - epsilon && advantage < 0,
    clippedHigh: ratio > 1 + epsilonHigh && advantage > 0,
  };
};
