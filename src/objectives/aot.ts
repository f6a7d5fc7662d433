// Alignment by optimal transport: distributions of log-ratios are compared, quantile by quantile.
import { smoothedLogistic } from './logistic.js';
import { betaOption, pairwise, smoothingOption, type Pair } from './pairwise.js';

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
  readonly weights: readonly number[];
}

interface Moved {
  readonly up: number;
  readonly low: number;
  readonly mass: number;
}

/** What of each weight meets what where both lists are laid end to end; one to one if all are 1. */
const meetings = (
  weights: readonly number[],
  fromUpper: readonly number[],
  fromLower: readonly number[],
): Moved[] => {
  const found: Moved[] = [];
  let [up, low] = [0, 0];
  let [leftUp, leftLow] = [weights[fromUpper[0]!], weights[fromLower[0]!]];
  while (leftUp !== undefined && leftLow !== undefined) {
    const mass = Math.min(leftUp, leftLow);
    found.push({ up: fromUpper[up]!, low: fromLower[low]!, mass });
    // One of both is used up exactly.
    [leftUp, leftLow] = [leftUp - mass, leftLow - mass];
    if (leftUp === 0) leftUp = weights[fromUpper[++up]!];
    if (leftLow === 0) leftLow = weights[fromLower[++low]!];
  }
  return found;
};

/** Loss and slope of each quantile, with the places that the two values came from. */
const transport = ({ beta, labelSmoothing, upper, lower, weights }: Quantiles) =>
  meetings(weights, ascending(upper), ascending(lower)).map(({ up, low, mass }) => {
    const { loss, slope } = smoothedLogistic(beta * (upper[up]! - lower[low]!), labelSmoothing);
    return { up, low, loss: mass * loss, slope: mass * beta * slope };
  });

const weightsOf = (pairs: readonly Pair[]): number[] => pairs.map(({ weight }) => weight);
const noLosses = (pairs: readonly Pair[]) =>
  pairs.map(() => ({ loss: 0, dChosen: 0, dRejected: 0 }));

export const aot = pairwise({
  name: 'aot',
  title: 'Alignment by optimal transport, paired',
  paper: `${paper}: sorted policy margins against sorted reference margins`,
  options,
  losses: (pairs, given) => {
    const results = noLosses(pairs);
    const quantiles = transport({
      ...given,
      upper: pairs.map(({ chosen, rejected }) => chosen.sum - rejected.sum),
      lower: pairs.map(({ chosen, rejected }) => chosen.reference - rejected.reference),
      weights: weightsOf(pairs),
    });
    for (const { up, loss, slope } of quantiles) {
      const own = results[up]!;
      own.loss += loss;
      own.dChosen += slope;
      own.dRejected -= slope;
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
    const results = noLosses(pairs);
    const quantiles = transport({
      ...given,
      upper: pairs.map(({ chosen }) => chosen.logRatio),
      lower: pairs.map(({ rejected }) => rejected.logRatio),
      weights: weightsOf(pairs),
    });
    for (const { up, low, loss, slope } of quantiles) {
      results[up]!.loss += loss;
      results[up]!.dChosen += slope;
      results[low]!.dRejected -= slope;
    }
    return results;
  },
});
