// Scaling laws of over-optimisation (Gao et al. 2023, 2210.10760): the score R against d, the square
// root of KL(policy || start) in nats. Scores are counted from the start policy's, so R(0) = 0.
//
//   reinforcement learning   R(d) = d (alpha - beta log d)
//   best of n                R(d) = d (alpha - beta d)
//
// Both are linear in alpha and beta, so that least squares has a closed form. Rafailov et al. 2024
// (2406.02900) fit the first one to win rates of DPO, IPO and SLiC.
import { random } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import { sumOf } from '../numbers.js';
import { refuseUnknown } from '../options.js';
import {
  type Interval,
  type ResamplingOptions,
  checkLevel,
  checkResamples,
  quantile,
  resamplingOptions,
} from './statistics.js';

/** rl: any method that trains the policy. */
export type OveroptimizationLaw = 'rl' | 'best-of-n';

export interface ScoredDistance {
  /** sqrt(KL), from 0 up. A point at 0 says nothing about either coefficient. */
  readonly distance: number;
  /** Less the start policy's. */
  readonly score: number;
}

export interface Coefficients {
  readonly alpha: number;
  readonly beta: number;
}

/** d log d, which is 0 at 0. */
const times: Readonly<Record<OveroptimizationLaw, (d: number) => number>> = {
  rl: (d) => (d === 0 ? 0 : d * Math.log(d)),
  'best-of-n': (d) => d * d,
};

const checkLaw = (law: OveroptimizationLaw): void => {
  if (Object.hasOwn(times, law)) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `law must be 'rl' or 'best-of-n', got ${law as string}.`,
  );
};

/** R(d). */
export const scoreAt = (
  law: OveroptimizationLaw,
  { alpha, beta }: Coefficients,
  distance: number,
): number => alpha * distance - beta * times[law](distance);

/** dR/dd, for distances above 0: below 0 where the score has turned. */
export const slopeAt = (
  law: OveroptimizationLaw,
  { alpha, beta }: Coefficients,
  distance: number,
): number => alpha - beta * (law === 'rl' ? 1 + Math.log(distance) : 2 * distance);

/** Where R is highest, and R there; null where it rises for ever (beta <= 0) or falls from 0. */
export const lawPeak = (
  law: OveroptimizationLaw,
  { alpha, beta }: Coefficients,
): ScoredDistance | null => {
  if (!(beta > 0)) return null;
  if (law === 'best-of-n' && alpha <= 0) return null;
  const distance = law === 'rl' ? Math.exp(alpha / beta - 1) : alpha / (2 * beta);
  const score = scoreAt(law, { alpha, beta }, distance);
  return Number.isFinite(distance) && Number.isFinite(score) ? { distance, score } : null;
};

/** Least squares; null where the distances do not tell the two terms apart. */
const solve = (
  points: readonly ScoredDistance[],
  law: OveroptimizationLaw,
): Coefficients | null => {
  const used = points.filter(({ distance }) => distance > 0);
  const [first] = used;
  if (!first || used.every(({ distance }) => distance === first.distance)) return null;
  const columns = used.map(({ distance }) => [distance, -times[law](distance)] as const);
  const product = (i: 0 | 1, j: 0 | 1): number => sumOf(columns.map((row) => row[i] * row[j]));
  const target = (i: 0 | 1): number => sumOf(used.map(({ score }, k) => columns[k]![i] * score));
  const [a, b, c] = [product(0, 0), product(0, 1), product(1, 1)];
  const determinant = a * c - b * b;
  if (!(determinant > 1e-12 * a * c)) return null;
  return {
    alpha: (c * target(0) - b * target(1)) / determinant,
    beta: (a * target(1) - b * target(0)) / determinant,
  };
};

const checkPoints = (points: readonly ScoredDistance[]): void => {
  const bad = points.find(
    ({ distance, score }) => !(distance >= 0 && distance < Infinity && Number.isFinite(score)),
  );
  if (!bad) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `A point has the distance ${bad.distance} and the score ${bad.score}. Distances are square ` +
      'roots of KL from 0 up, and both are finite.',
  );
};

export interface OveroptimizationFit extends Coefficients {
  readonly law: OveroptimizationLaw;
  readonly alphaInterval: Interval;
  readonly betaInterval: Interval;
  /** Share of the variance around the mean that the law explains; null where there is none. */
  readonly rSquared: number | null;
  readonly peak: ScoredDistance | null;
  /** dR/dd at the farthest point. */
  readonly lastSlope: number;
  readonly lastSlopeInterval: Interval;
  /** Points that were used: those with a distance above 0. */
  readonly points: number;
}

const explained = (
  points: readonly ScoredDistance[],
  law: OveroptimizationLaw,
  found: Coefficients,
): number | null => {
  const middle = sumOf(points.map(({ score }) => score)) / points.length;
  const spread = sumOf(points.map(({ score }) => (score - middle) ** 2));
  const rest = sumOf(points.map((p) => (p.score - scoreAt(law, found, p.distance)) ** 2));
  return spread === 0 ? null : 1 - rest / spread;
};

/**
 * Least squares with percentile intervals over resampled items: prompts, runs, or the points
 * themselves, of which `pointsOf` makes the curve again. Resamples whose points leave the
 * coefficients open are drawn anew. Throws OPTION_INVALID for fewer than two distances above 0.
 */
export const fitLaw = <Item>(
  items: readonly Item[],
  pointsOf: (items: readonly Item[]) => readonly ScoredDistance[],
  law: OveroptimizationLaw,
  options: ResamplingOptions = {},
): OveroptimizationFit => {
  refuseUnknown('fitLaw', options, resamplingOptions);
  checkLaw(law);
  const { level = 0.95, resamples = 2000, seed = 0, keys = [] } = options;
  checkLevel(level);
  checkResamples(resamples);
  const points = pointsOf(items);
  checkPoints(points);
  const found = solve(points, law);
  if (!found) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'Two coefficients need scores at two distances above 0 or more; there are ' +
        `${points.length} points. Evaluate more checkpoints, or more sizes of n.`,
    );
  }
  const stream = random(seed, 'over-optimisation', ...keys);
  const draws: Coefficients[] = [];
  // Of two points a half of the draws has one twice; a hundred times as many as needed never fail.
  for (let tries = 0; draws.length < resamples && tries < 100 * resamples; tries += 1) {
    const drawn = solve(pointsOf(items.map(() => items[stream.below(items.length)]!)), law);
    if (drawn) draws.push(drawn);
  }
  const interval = (of: (one: Coefficients) => number): Interval => {
    const values = draws.map(of);
    return [quantile(values, (1 - level) / 2), quantile(values, (1 + level) / 2)];
  };
  const used = points.filter(({ distance }) => distance > 0);
  const farthest = Math.max(...used.map(({ distance }) => distance));
  return {
    law,
    ...found,
    alphaInterval: interval(({ alpha }) => alpha),
    betaInterval: interval(({ beta }) => beta),
    rSquared: explained(used, law, found),
    peak: lawPeak(law, found),
    lastSlope: slopeAt(law, found, farthest),
    lastSlopeInterval: interval((one) => slopeAt(law, one, farthest)),
    points: used.length,
  };
};

/** `fitLaw` with the points themselves as what is resampled: checkpoints of runs. */
export const fitPoints = (
  points: readonly ScoredDistance[],
  law: OveroptimizationLaw,
  options: ResamplingOptions = {},
): OveroptimizationFit => fitLaw(points, (drawn) => drawn, law, options);
