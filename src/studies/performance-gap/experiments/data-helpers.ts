// What the experiments on order, data and sizes share: win rates within a budget of KL, summaries of
// clouds with intervals, and points of figures made of them.
import { random } from '../../../data/random.js';
import { type FrontierPoint, peak, winRateQuantile } from '../../../evaluation/frontier.js';
import { quantile } from '../../../evaluation/statistics.js';
import type { BandPoint } from '../../../report/chart.js';
import { type Measured, ofPeaks } from '../peaks.js';
import { type Cloud, decimals } from './baseline-arms.js';

export const withInterval = ({ value, interval: [low, high] }: Measured): string =>
  `${decimals(value)} (${decimals(low)} to ${decimals(high)})`;

export const stairs =
  'Each point is a checkpoint; stairs are the best win rate within a budget of KL.';
export const intervals = 'Bands are 95 % intervals over prompts and seeds.';
export const heldOut =
  'The best checkpoint is chosen on one half of the prompts and rated on the other.';

/** The best win rate of a cloud, chosen on one half of the prompts and rated on the other. */
export const peakOf = (cloud: Cloud): Measured => ofPeaks([cloud], ([value]) => value!);

const byRun = (cloud: Cloud): FrontierPoint[][] => {
  const runs = new Map<string, FrontierPoint[]>();
  for (const point of cloud) {
    const name = `${point.seed ?? 0} ${point.run}`;
    runs.set(name, [...(runs.get(name) ?? []), point]);
  }
  return [...runs.values()];
};

/** The last checkpoint of each run. */
export const finalsOf = (cloud: Cloud): FrontierPoint[] =>
  byRun(cloud).map((run) => run.reduce((a, b) => (b.step > a.step ? b : a)));

/** The largest KL that every run of every cloud reaches, in nats. */
export const commonBudget = (clouds: readonly Cloud[]): number =>
  Math.min(
    ...clouds.flatMap((cloud) => byRun(cloud).map((run) => Math.max(...run.map(({ kl }) => kl)))),
  );

const between = (low: FrontierPoint, high: FrontierPoint, kl: number): FrontierPoint => {
  const part = (kl - low.kl) / (high.kl - low.kl);
  const mixed = (a: number, b: number): number => a + part * (b - a);
  return {
    ...low,
    kl,
    winRate: mixed(low.winRate, high.winRate),
    // By prompt, so that an interpolated point is resampled as a checkpoint is.
    outcomes: (low.outcomes ?? []).map((own, i) => mixed(own ?? 0.5, high.outcomes?.[i] ?? 0.5)),
  };
};

/**
 * The checkpoints of at most so much KL and, in each run that goes on beyond, its win rates at the
 * budget by linear interpolation in KL: else a run whose next checkpoint lies just above the budget
 * would count less for the steps at which it was measured. The peak of what is returned is
 * env(κ) = max{W : KL ≤ κ}.
 */
export const withinBudget = (cloud: Cloud, kl: number): FrontierPoint[] =>
  byRun(cloud).flatMap((run) => {
    const sorted = [...run].sort((a, b) => a.kl - b.kl);
    const kept = sorted.filter((point) => point.kl <= kl);
    const [last, next] = [kept.at(-1), sorted[kept.length]];
    return last && next && last.kl < kl ? [...kept, between(last, next, kl)] : kept;
  });

const resamples = 1000;

const rateOn = ({ outcomes = [] }: FrontierPoint, prompts: readonly number[]): number =>
  prompts.reduce((sum, prompt) => sum + (outcomes[prompt] ?? 0.5), 0) / prompts.length;

/** A quantile of the win rates of checkpoints, seeds pooled, with its interval. */
export const ofQuantiles = (
  clouds: readonly Cloud[],
  p: number,
  statistic: (quantiles: readonly number[]) => number,
): Measured => {
  const seeds = [...new Set(clouds[0]!.map(({ seed = 0 }) => seed))];
  const prompts = clouds[0]![0]?.outcomes?.length ?? 0;
  const every = Array.from({ length: prompts }, (_, i) => i);
  const stream = random(0, 'quantiles');
  const draw = <Item>(items: readonly Item[]): Item[] =>
    items.map(() => items[stream.below(items.length)]!);
  const found = Float64Array.from({ length: resamples }, () => {
    const [kept, chosen] = [draw(seeds), draw(every)];
    return statistic(
      clouds.map((cloud) => {
        const rates = new Map(cloud.map((point) => [point, rateOn(point, chosen)]));
        const pooled = kept.flatMap((seed) =>
          cloud.filter((point) => (point.seed ?? 0) === seed).map((point) => rates.get(point)!),
        );
        return quantile(pooled, p);
      }),
    );
  });
  return {
    value: statistic(clouds.map((cloud) => winRateQuantile(cloud, p))),
    interval: [quantile(found, 0.025), quantile(found, 0.975)],
  };
};

/** As a point of a curve with its band. */
export const bandPoint = (x: number, { value, interval }: Measured, note?: string): BandPoint => ({
  x,
  y: value,
  // Resamples of few prompts may leave the value just outside of their quantiles.
  low: Math.min(interval[0], value),
  high: Math.max(interval[1], value),
  ...(note ? { note } : {}),
});

/** For result.json: the peak, its interval, and where on the KL axis it lies. */
export const peakNumbers = (cloud: Cloud) => ({
  peak: peakOf(cloud),
  klOfPeak: peak(cloud).kl,
  final: ofPeaks([finalsOf(cloud)], ([value]) => value!),
});
