// Shuffling within windows of consecutive batches: from the recorded order (windows of one item) to
// uniform (one window), as in Tang et al. 2024, appendix G.
import { permutation } from './random.js';

/**
 * Places in their new order; each window of `window` batches is permuted by itself.
 * @param ends of the batches, ascending; the last is the number of places
 */
export const windowPermutation = (
  ends: readonly number[],
  window: number,
  seed: number | bigint,
  epoch: number,
): Uint32Array => {
  const order = new Uint32Array(ends.at(-1) ?? 0);
  let begin = 0;
  for (let last = window - 1; begin < order.length; last += window) {
    const final = Math.min(last, ends.length - 1);
    const end = ends[final]!;
    // A window without end has the number of its last batch.
    const key = Number.isFinite(last) ? last : final;
    const own = permutation(end - begin, seed, 'window', epoch, key);
    order.set(
      own.map((place) => begin + place),
      begin,
    );
    begin = end;
  }
  return order;
};
