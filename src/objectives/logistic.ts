// The logistic loss on a margin, with the label taken to be wrong with a given probability.
import { logSigmoid, sigmoid } from './math.js';

/**
 * -(1 - e) log sigmoid(m) - e log sigmoid(-m) and its derivative by m (conservative DPO, Mitchell
 * 2023, eq. 3; e = 0 is the plain logistic loss).
 */
export const smoothedLogistic = (
  margin: number,
  smoothing = 0,
): { readonly loss: number; readonly slope: number } => ({
  loss: -(1 - smoothing) * logSigmoid(margin) - smoothing * logSigmoid(-margin),
  slope: smoothing - sigmoid(-margin),
});
