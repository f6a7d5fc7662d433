// Sums in double precision, whatever the array's type: log-probabilities come as f32.

export const sumOf = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
};

/** NaN where there are none. */
export const meanOf = (values: Iterable<number> & { readonly length: number }): number =>
  sumOf(values) / values.length;
