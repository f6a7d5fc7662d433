// The implicit reward of losses without a reference: log p, or AlphaPO's power of p.
import { clampedExp, clampedExpm1 } from './math.js';
import type { OptionSpec } from './objective.js';

export const alphaOption = {
  type: 'number',
  default: 0,
  help: 'Reward (1 - p^-alpha)/alpha for log p, its limit at 0 (AlphaPO, arXiv 2501.03884)',
} as const satisfies OptionSpec;

/** (1 - p^-alpha) / alpha of a log-probability, and its derivative; exponents above 80 clamped. */
export const alphaReward = (logp: number, alpha: number): { value: number; slope: number } => {
  if (alpha === 0) return { value: logp, slope: 1 };
  const exponent = -alpha * logp;
  return { value: -clampedExpm1(exponent) / alpha, slope: clampedExp(exponent).slope };
};
