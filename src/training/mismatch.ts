// What the sampler says of its tokens against what training's forward pass says of them: nothing at
// all on an exact device, and what a fast one costs. Measured where the weights are the same.
import type { Row } from '../objectives/objective.js';

type Metrics = Readonly<Record<string, number>>;

export interface Freshness {
  /** All samples are the policy's own. */
  readonly onPolicy: boolean;
  /** Steps made on them before. */
  readonly used: number;
  /** What the source says of them. */
  readonly metrics: Metrics;
}

/** Under TRL's names; none where the policy has moved since it drew the samples. */
export const samplingMismatch = (
  rows: readonly Row[],
  { onPolicy, used, metrics }: Freshness,
): Metrics => {
  if (!onPolicy || used > 0 || metrics['sampler/age'] !== 0) return {};
  let [sum, max, count] = [0, 0, 0];
  for (const { logProbs, behaviour } of rows.flatMap(({ sequences }) => sequences)) {
    behaviour?.forEach((log, t) => {
      const difference = Math.abs(logProbs[t]! - log);
      sum += difference;
      max = Math.max(max, difference);
      count += 1;
    });
  }
  if (count === 0) return {};
  return {
    'sampling/sampling_logp_difference/mean': sum / count,
    'sampling/sampling_logp_difference/max': max,
  };
};
