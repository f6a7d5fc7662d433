// The implicit reward of losses without a reference: log p, or AlphaPO's power of p.
import { clampedExp } from './math.js';
import type { OptionSpec } from './objective.js';

export const alphaOption = {
  type: 'number',
  default: 0,
  help: 'Reward (1 - p^-alpha)/alpha for log p, its limit at 0 (AlphaPO, arXiv 2501.03884)',
} as const satisfies OptionSpec;

/** (1 - p^-alpha) / alpha of a log-probability, and its derivative; exponents above 80 clamped. */
export const alphaReward = (logp: number, alpha: number): { value: number; slope: number } => {
  if (alpha === 0) return { value: logp, slope: 1 };
  const { value, slope } = clampedExp(-alpha * logp);
  // 1 - exp(x) without cancellation where it is small.
  const difference = Math.abs(alpha * logp) < 1 ? -Math.expm1(-alpha * logp) : 1 - value;
  return { value: difference / alpha, slope };
};
