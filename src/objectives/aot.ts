// Alignment by optimal transport: distributions of log-ratios are compared, quantile by quantile.
import { smoothedLogistic } from './logistic.js';
import { betaOption, pairwise, smoothingOption, type PairLoss } from './pairwise.js';

const options = { beta: betaOption(), labelSmoothing: smoothingOption } as const;
const paper = 'Melnyk et al. 2024, arXiv 2406.05882';

/** Indices in ascending order of their values; equal ones keep their order. */
const ascending = (values: readonly number[]): number[] =>
  [...values.keys()].sort((a, b) => values[a]! - values[b]!);

interface Quantiles {
  readonly beta: number;
  readonly labelSmoothing: number;
  /** Values that shall lie above, and below, at each quantile. */
  readonly upper: readonly number[];
  readonly lower: readonly number[];
}

/** Loss and slope of each quantile, with the places that the two values came from. */
const transport = ({ beta, labelSmoothing, upper, lower }: Quantiles) => {
  const [fromUpper, fromLower] = [ascending(upper), ascending(lower)];
  return fromUpper.map((up, q) => {
    const low = fromLower[q]!;
    const { loss, slope } = smoothedLogistic(beta * (upper[up]! - lower[low]!), labelSmoothing);
    return { up, low, loss, slope: beta * slope };
  });
};

export const aot = pairwise({
  name: 'aot',
  title: 'Alignment by optimal transport, paired',
  paper: `${paper}: sorted policy margins against sorted reference margins`,
  options,
  losses: (pairs, given) => {
    const results: PairLoss[] = [];
    const quantiles = transport({
      ...given,
      upper: pairs.map(({ chosen, rejected }) => chosen.sum - rejected.sum),
      lower: pairs.map(({ chosen, rejected }) => chosen.reference - rejected.reference),
    });
    for (const { up, loss, slope } of quantiles) {
      results[up] = { loss, dChosen: slope, dRejected: -slope };
    }
    return results;
  },
});

export const aotUnpaired = pairwise({
  name: 'aot-unpaired',
  title: 'Alignment by optimal transport, unpaired',
  paper: `${paper}: sorted log-ratios of chosen against those of rejected responses`,
  options,
  losses: (pairs, given) => {
    const results = pairs.map(() => ({ loss: 0, dChosen: 0, dRejected: 0 }));
    const quantiles = transport({
      ...given,
      upper: pairs.map(({ chosen }) => chosen.logRatio),
      lower: pairs.map(({ rejected }) => rejected.logRatio),
    });
    for (const { up, low, loss, slope } of quantiles) {
      results[up]!.loss = loss;
      results[up]!.dChosen = slope;
      results[low]!.dRejected = -slope;
    }
    return results;
  },
});
