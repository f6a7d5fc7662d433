// Functions of log-probabilities that stay finite and keep their sign at the extremes.

/** 1 / (1 + exp(-x)). */
export const sigmoid = (x: number): number => {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const e = Math.exp(x);
  return e / (1 + e);
};

/** log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)). */
export const logSigmoid = (x: number): number =>
  Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

/** log(1 - exp(x)) for x < 0, by the branch that loses no digits (Maechler 2012, eq. 7). */
export const log1mexp = (x: number): number =>
  x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x));

// exp(80) = 5.5e34 leaves float32 (3.4e38) room for a few factors.
const largestExponent = 80;

/** exp(min(x, 80)) and its derivative, which is zero beyond the clamp. */
export const clampedExp = (x: number): { value: number; slope: number } => {
  const value = Math.exp(Math.min(x, largestExponent));
  return { value, slope: x < largestExponent ? value : 0 };
};

/** In double, whatever the array's type. */
export const sumOf = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
};
