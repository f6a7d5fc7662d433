// Functions of log-probabilities that stay finite and keep their sign at the extremes.

export { sumOf } from '../numbers.js';

/** Where exp overflows to infinity the quotient is the right 0. */
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)). */
export const logSigmoid = (x: number): number =>
  Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

/** log(1 - exp(x)) for x < 0, by the branch that loses no digits (Maechler 2012, eq. 7). */
export const log1mexp = (x: number): number =>
  x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x));

// exp(80) = 5.5e34 leaves float32 (3.4e38) room for a few factors.
const largestExponent = 80;

const clampExponent = (x: number): number => Math.min(x, largestExponent);

/** exp(min(x, 80)) - 1, without cancellation near 0. */
export const clampedExpm1 = (x: number): number => Math.expm1(clampExponent(x));

/** exp(min(x, 80)) and its derivative, which is zero beyond the clamp. */
export const clampedExp = (x: number): { value: number; slope: number } => {
  const value = Math.exp(clampExponent(x));
  return { value, slope: x < largestExponent ? value : 0 };
};
