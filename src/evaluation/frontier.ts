// KL against win rate: the cloud of all checkpoints of all runs of a method, and its upper envelope,
// the best win rate within a KL budget. Methods are compared on the budgets that both reach.
import { random } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import { refuseUnknown, requireWhole } from '../options.js';
import {
  type Interval,
  type ResamplingOptions,
  checkLevel,
  checkResamples,
  mean,
  quantile,
} from './statistics.js';

export interface FrontierPoint {
  /** KL to the start policy, in nats. */
  readonly kl: number;
  readonly winRate: number;
  readonly run: string;
  readonly step: number;
  /** Of the run, for intervals over seeds. */
  readonly seed?: number;
  /** By prompt: 1, 0.5, 0, or null where the judge failed; for intervals over prompts. */
  readonly outcomes?: readonly (number | null)[];
}

const checkPoints = (points: readonly FrontierPoint[]): void => {
  if (points.length === 0) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'A frontier needs at least one evaluated checkpoint, and there is none.',
    );
  }
  const bad = points.find(({ kl, winRate }) => !(kl >= 0 && winRate >= 0 && winRate <= 1));
  if (!bad) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `Step ${bad.step} of the run "${bad.run}" has the KL ${bad.kl} and the win rate ` +
      `${bad.winRate}. A KL is from 0 up (use the exact one), a win rate from 0 to 1.`,
  );
};

/** The points that no other one beats at the same or a smaller KL, by rising KL and win rate. */
export const upperEnvelope = (points: readonly FrontierPoint[]): FrontierPoint[] => {
  checkPoints(points);
  const sorted = [...points].sort((a, b) => a.kl - b.kl || b.winRate - a.winRate);
  let best = -Infinity;
  return sorted.filter(({ winRate }) => {
    if (winRate <= best) return false;
    best = winRate;
    return true;
  });
};

/**
 * step: what a checkpoint has shown. linear: between neighbours of the envelope, which is fairer to
 * methods whose checkpoints lie far apart.
 */
export type Between = 'step' | 'linear';

/** Best win rate within a budget; null below the smallest KL of the cloud. */
export const envelopeAt = (
  points: readonly FrontierPoint[],
  kl: number,
  between: Between = 'step',
): number | null => {
  if (between !== 'step' && between !== 'linear') {
    throw new AlignlabError(
      'OPTION_INVALID',
      `between must be 'step' or 'linear', got ${String(between)}.`,
    );
  }
  const envelope = upperEnvelope(points);
  const after = envelope.findIndex((point) => point.kl > kl);
  const last = after < 0 ? envelope.at(-1) : envelope[after - 1];
  if (!last) return null;
  const next = after < 0 ? undefined : envelope[after];
  if (between === 'step' || !next) return last.winRate;
  const part = (kl - last.kl) / (next.kl - last.kl);
  return last.winRate + part * (next.winRate - last.winRate);
};

/** The checkpoint with the best win rate, at the smallest KL. */
export const peak = (points: readonly FrontierPoint[]): FrontierPoint =>
  upperEnvelope(points).at(-1)!;

/** A quantile of the win rates of a cloud: 0.9 sums a method up (Tang et al. 2024, figure 11). */
export const winRateQuantile = (points: readonly FrontierPoint[], p = 0.9): number => {
  checkPoints(points);
  return quantile(
    points.map(({ winRate }) => winRate),
    p,
  );
};

export interface FrontierComparison {
  /** The budgets that both clouds reach, in nats; null where there are none. */
  readonly range: Interval | null;
  /** Of the first envelope less the second over the range, evenly in KL. */
  readonly meanGap: number | null;
  readonly largestGap: number | null;
  readonly peakGap: number;
}

/** @param budgets at which the envelopes are compared, spread evenly over the common range */
export const compareFrontiers = (
  first: readonly FrontierPoint[],
  second: readonly FrontierPoint[],
  options: { budgets?: number; between?: Between } = {},
): FrontierComparison => {
  const { budgets = 101, between = 'linear' } = options;
  refuseUnknown('compareFrontiers', options, { budgets: true, between: true });
  requireWhole('budgets', budgets, 2);
  const peakGap = peak(first).winRate - peak(second).winRate;
  const edge = (pick: typeof Math.min, points: readonly FrontierPoint[]): number =>
    pick(...points.map(({ kl }) => kl));
  const low = Math.max(edge(Math.min, first), edge(Math.min, second));
  const high = Math.min(edge(Math.max, first), edge(Math.max, second));
  if (low > high) return { range: null, meanGap: null, largestGap: null, peakGap };
  const count = low === high ? 1 : budgets;
  const gaps = Array.from({ length: count }, (_, i) => {
    const kl = count === 1 ? low : low + ((high - low) * i) / (count - 1);
    return envelopeAt(first, kl, between)! - envelopeAt(second, kl, between)!;
  });
  return {
    range: [low, high],
    meanGap: mean(gaps),
    largestGap: gaps.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)),
    peakGap,
  };
};

const rateOf = (outcomes: readonly (number | null)[], chosen: readonly number[]): number => {
  const decided = chosen.map((i) => outcomes[i] ?? null).filter((outcome) => outcome !== null);
  return decided.length === 0 ? -Infinity : mean(decided);
};

/**
 * Percentile interval of the peak win rate, over prompts (the same ones of all checkpoints) and
 * over seeds. The peak of noisy rates is biased upwards, and so is its interval; a held-out list of
 * prompts for the chosen checkpoint has no such bias.
 */
export const peakInterval = (
  points: readonly FrontierPoint[],
  { level = 0.95, resamples = 2000, seed = 0, keys = [] }: ResamplingOptions = {},
): Interval => {
  checkPoints(points);
  checkLevel(level);
  checkResamples(resamples);
  const prompts = points[0]?.outcomes?.length ?? 0;
  const odd = points.find(({ outcomes }) => (outcomes?.length ?? 0) !== prompts || prompts === 0);
  if (odd) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `Step ${odd.step} of the run "${odd.run}" has outcomes of ${odd.outcomes?.length ?? 0} ` +
        `prompts, and the first point of ${prompts}. Evaluate all checkpoints on one list.`,
    );
  }
  const seeds = [...new Set(points.map((point) => point.seed ?? 0))];
  const stream = random(seed, 'peak', ...keys);
  const draw = (n: number): number[] => Array.from({ length: n }, () => stream.below(n));
  const peaks = Float64Array.from({ length: resamples }, () => {
    const kept = new Set(draw(seeds.length).map((i) => seeds[i]!));
    const chosen = draw(prompts);
    return points.reduce(
      (best, point) =>
        kept.has(point.seed ?? 0) ? Math.max(best, rateOf(point.outcomes!, chosen)) : best,
      -Infinity,
    );
  });
  return [quantile(peaks, (1 - level) / 2), quantile(peaks, (1 + level) / 2)];
};
