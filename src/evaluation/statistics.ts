// Intervals and tests for what evaluations report. Whatever is random takes a seed.
import { type RandomKey, random } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import { meanOf, sumOf } from '../numbers.js';
import { type OptionNames, requireWhole } from '../options.js';

export interface Estimate {
  readonly mean: number;
  /** Sample standard deviation over the square root of the count; null below two values. */
  readonly standardError: number | null;
  readonly count: number;
}

export type Interval = readonly [low: number, high: number];

export interface ResamplingOptions {
  /** Coverage of the interval. Default 0.95. */
  readonly level?: number;
  /** Default 2000. */
  readonly resamples?: number;
  /** Default 0. */
  readonly seed?: number | bigint;
  /** Names for what is resampled, so that two intervals of one seed are independent. */
  readonly keys?: readonly RandomKey[];
}

export const resamplingOptions: OptionNames<ResamplingOptions> = {
  level: true,
  resamples: true,
  seed: true,
  keys: true,
};

type Numbers = ArrayLike<number> & Iterable<number>;

const requireSome = (what: string, count: number): void => {
  if (count > 0) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `There is nothing to take ${what} of: the list is empty. Give at least one value.`,
  );
};

export const checkLevel = (level: number): number => {
  if (level > 0 && level < 1) return level;
  throw new AlignlabError('OPTION_INVALID', `level must be between 0 and 1, got ${level}.`);
};

export const checkResamples = (resamples: number): number => {
  requireWhole('resamples', resamples);
  return resamples;
};

export const mean = (values: Numbers): number => {
  requireSome('a mean', values.length);
  return meanOf(values);
};

export const estimate = (values: readonly number[]): Estimate => {
  const count = values.length;
  const middle = mean(values);
  if (count < 2) return { mean: middle, standardError: null, count };
  const squares = sumOf(values.map((value) => (value - middle) ** 2));
  return { mean: middle, standardError: Math.sqrt(squares / (count - 1) / count), count };
};

/** P(Z <= x) of a standard normal, to about 1e-15: a series near zero, a fraction in the tails. */
export const normalCdf = (x: number): number => {
  const size = Math.abs(x);
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (size < 4) {
    let term = x;
    let total = x;
    for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(total); k += 2) {
      term *= (x * x) / k;
      total += term;
    }
    return 0.5 + density * total;
  }
  let fraction = size;
  for (let k = 60; k >= 1; k -= 1) fraction = size + k / fraction;
  return x < 0 ? density / fraction : 1 - density / fraction;
};

/** The x with P(Z <= x) = p, by bisection. */
export const normalQuantile = (p: number): number => {
  checkLevel(p);
  let [low, high] = [-40, 40];
  for (let i = 0; i < 80; i += 1) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
};

/**
 * Wilson's score interval of a proportion. Ties may count as half a success.
 * @param successes from 0 to `count`
 */
export const wilsonInterval = (successes: number, count: number, level = 0.95): Interval => {
  requireSome('a proportion', count);
  const z = normalQuantile((1 + checkLevel(level)) / 2);
  const p = successes / count;
  const scale = 1 + (z * z) / count;
  const middle = (p + (z * z) / (2 * count)) / scale;
  const half = (z / scale) * Math.sqrt((p * (1 - p)) / count + (z * z) / (4 * count * count));
  // The closed form touches 0 and 1 there; rounding must not leave the interval off its value.
  return [successes === 0 ? 0 : middle - half, successes === count ? 1 : middle + half];
};

/** With linear interpolation between order statistics. `p` from 0 to 1. */
export const quantile = (values: Numbers, p: number): number => {
  requireSome('a quantile', values.length);
  if (!(p >= 0 && p <= 1)) {
    throw new AlignlabError('OPTION_INVALID', `A quantile must be from 0 to 1, got ${p}.`);
  }
  const sorted = Float64Array.from(values).sort();
  const at = p * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (at - Math.floor(at)) * (sorted[Math.ceil(at)]! - low);
};

/** The percentile interval of a statistic over resampled items (Efron 1979). */
export const bootstrapInterval = <Item>(
  items: readonly Item[],
  statistic: (resampled: readonly Item[]) => number,
  { level = 0.95, resamples = 2000, seed = 0, keys = [] }: ResamplingOptions = {},
): Interval => {
  requireSome('an interval', items.length);
  checkLevel(level);
  const stream = random(seed, 'bootstrap', ...keys);
  const found = Float64Array.from({ length: checkResamples(resamples) }, () =>
    statistic(items.map(() => items[stream.below(items.length)]!)),
  );
  return [quantile(found, (1 - level) / 2), quantile(found, (1 + level) / 2)];
};

export interface Difference {
  /** Of the first less the second. */
  readonly difference: number;
  readonly interval: Interval;
  /** Two-sided. */
  readonly pValue: number;
}

/** Two independent proportions: pooled z test, unpooled normal interval. */
export const twoProportionTest = (
  first: { readonly successes: number; readonly count: number },
  second: { readonly successes: number; readonly count: number },
  level = 0.95,
): Difference => {
  requireSome('a proportion', Math.min(first.count, second.count));
  const [p, q] = [first.successes / first.count, second.successes / second.count];
  const difference = p - q;
  const pooled = (first.successes + second.successes) / (first.count + second.count);
  const spread = Math.sqrt(pooled * (1 - pooled) * (1 / first.count + 1 / second.count));
  const z = normalQuantile((1 + checkLevel(level)) / 2);
  const half = z * Math.sqrt((p * (1 - p)) / first.count + (q * (1 - q)) / second.count);
  const pValue = difference === 0 ? 1 : 2 * normalCdf(-Math.abs(difference / spread));
  return { difference, interval: [difference - half, difference + half], pValue };
};

/**
 * Paired values, such as two policies' scores on the same prompts: bootstrap interval of the mean
 * difference, and the test that flips the signs of differences at random.
 */
export const pairedTest = (
  first: readonly number[],
  second: readonly number[],
  options: ResamplingOptions = {},
): Difference => {
  requireSome('a difference', first.length);
  if (first.length !== second.length) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `Paired values need partners: there are ${first.length} and ${second.length}.`,
    );
  }
  const { seed = 0, keys = [], resamples = 2000 } = options;
  const differences = first.map((value, i) => value - second[i]!);
  const difference = mean(differences);
  const stream = random(seed, 'sign flips', ...keys);
  let asFar = 0;
  for (let i = 0; i < checkResamples(resamples); i += 1) {
    const flipped = sumOf(differences.map((d) => (stream.below(2) === 0 ? d : -d)));
    // Sums of the same numbers in other signs are equal up to rounding.
    if (Math.abs(flipped) >= Math.abs(difference) * first.length * (1 - 1e-12)) asFar += 1;
  }
  const interval = bootstrapInterval(differences, mean, options);
  // The observed signs are one of the possible ones: never zero.
  return { difference, interval, pValue: (asFar + 1) / (resamples + 1) };
};
