// Peaks and envelopes of clouds with intervals over prompts and seeds.
import { meanOf } from '../../numbers.js';
import { random } from '../../data/random.js';
import { type FrontierPoint, envelopeAt, upperEnvelope } from '../../evaluation/frontier.js';
import { type Interval, quantile } from '../../evaluation/statistics.js';

/**
 * The best win rate of a cloud, without the bias of choosing by the same noise: the checkpoint is
 * chosen on one half of the prompts and rated on the other, both ways, for each seed by itself.
 */
interface Cloud {
  readonly seeds: readonly number[];
  /** Seed → points → outcome by prompt. */
  readonly outcomes: ReadonlyMap<number, readonly Float64Array[]>;
  readonly prompts: number;
}

/** By prompt; what the judge could not tell counts as a tie. */
const rowOf = ({ outcomes = [] }: FrontierPoint): Float64Array =>
  Float64Array.from(outcomes, (outcome) => outcome ?? 0.5);

const cloudOf = (points: readonly FrontierPoint[]): Cloud => {
  const outcomes = new Map<number, Float64Array[]>();
  for (const point of points) {
    const { seed = 0 } = point;
    const rows = outcomes.get(seed) ?? [];
    rows.push(rowOf(point));
    outcomes.set(seed, rows);
  }
  const prompts = points[0]?.outcomes?.length ?? 0;
  return { seeds: [...outcomes.keys()], outcomes, prompts };
};

const rate = (outcomes: Float64Array, prompts: readonly number[]): number =>
  prompts.reduce((sum, prompt) => sum + outcomes[prompt]!, 0) / Math.max(1, prompts.length);

const peakOfSeed = (
  points: readonly Float64Array[],
  halves: readonly (readonly number[])[],
): number => {
  const rates = halves.map((half) => points.map((outcomes) => rate(outcomes, half)));
  const chosen = rates.map((own) => own.indexOf(Math.max(...own)));
  return (rates[1]![chosen[0]!]! + rates[0]![chosen[1]!]!) / 2;
};

const halvesOf = (prompts: readonly number[]): readonly (readonly number[])[] =>
  [0, 1].map((parity) => prompts.filter((prompt) => prompt % 2 === parity));

const peakOf = (cloud: Cloud, seeds: readonly number[], prompts: readonly number[]): number => {
  const halves = halvesOf(prompts);
  const peaks = seeds.map((seed) => peakOfSeed(cloud.outcomes.get(seed) ?? [], halves));
  return peaks.reduce((sum, value) => sum + value, 0) / peaks.length;
};

export interface Measured {
  readonly value: number;
  readonly interval: Interval;
}

const resamples = 1000;

/**
 * A function of the peaks of several clouds over the same prompts and seeds, with a 95 % interval
 * over prompts and, where there are several, seeds.
 */
export const ofPeaks = (
  clouds: readonly (readonly FrontierPoint[])[],
  statistic: (peaks: readonly number[]) => number,
): Measured => {
  const made = clouds.map(cloudOf);
  const [{ seeds, prompts }] = made as [Cloud, ...Cloud[]];
  const every = Array.from({ length: prompts }, (_, i) => i);
  const at = (chosenSeeds: readonly number[], chosen: readonly number[]): number =>
    statistic(made.map((cloud) => peakOf(cloud, chosenSeeds, chosen)));
  const stream = random(0, 'peaks');
  const draw = <Item>(items: readonly Item[]): Item[] =>
    items.map(() => items[stream.below(items.length)]!);
  const found = Float64Array.from({ length: resamples }, () => at(draw(seeds), draw(every)));
  return { value: at(seeds, every), interval: [quantile(found, 0.025), quantile(found, 0.975)] };
};

/** What a cloud is with other prompts and of some seeds only. */
const redrawing = (points: readonly FrontierPoint[]) => {
  const rows = points.map(rowOf);
  return (seeds: ReadonlySet<number>, prompts: readonly number[]): FrontierPoint[] =>
    points.flatMap((point, i) =>
      seeds.has(point.seed ?? 0) ? [{ ...point, winRate: rate(rows[i]!, prompts) }] : [],
    );
};

/**
 * A function of the first envelope less the second at some budgets of KL, seeds pooled, linear
 * between checkpoints; with a 95 % interval over prompts and, where there are several, seeds. Of
 * the largest of many differences resamples lie above the value: the noise adds up.
 */
export const ofEnvelopes = (
  [first, second]: readonly [readonly FrontierPoint[], readonly FrontierPoint[]],
  budgets: readonly number[],
  statistic: (gaps: readonly number[]) => number,
): Measured => {
  const seeds = [...new Set(first.map(({ seed = 0 }) => seed))];
  const every = Array.from({ length: first[0]?.outcomes?.length ?? 0 }, (_, i) => i);
  const at = (...clouds: readonly (readonly FrontierPoint[])[]): number => {
    const envelopes = clouds.map(upperEnvelope);
    const [a, b] = envelopes.map((own) => budgets.map((kl) => envelopeAt(own, kl, 'linear')!));
    return statistic(a!.map((value, i) => value - b![i]!));
  };
  const [again, other] = [redrawing(first), redrawing(second)];
  const stream = random(0, 'envelopes');
  const draw = <Item>(items: readonly Item[]): Item[] =>
    items.map(() => items[stream.below(items.length)]!);
  const found = Float64Array.from({ length: resamples }, () => {
    const [kept, prompts] = [new Set(draw(seeds)), draw(every)];
    return at(again(kept, prompts), other(kept, prompts));
  });
  return {
    value: at(first, second),
    interval: [quantile(found, 0.025), quantile(found, 0.975)],
  };
};

/** Mean of the items' values with its interval, by resampling of the items. */
export const ofMean = (values: readonly number[]): Measured => {
  const stream = random(0, 'mean');
  const found = Float64Array.from({ length: resamples }, () =>
    meanOf(values.map(() => values[stream.below(values.length)]!)),
  );
  return { value: meanOf(values), interval: [quantile(found, 0.025), quantile(found, 0.975)] };
};

/** Rank correlation; ties share their mean rank. Null where one side has no spread. */
export const spearman = (x: readonly number[], y: readonly number[]): number | null => {
  const ranks = (values: readonly number[]): number[] =>
    values.map((value) => {
      const below = values.filter((other) => other < value).length;
      return below + (values.filter((other) => other === value).length - 1) / 2;
    });
  const [a, b] = [ranks(x), ranks(y)];
  const middle = (x.length - 1) / 2;
  const product = (p: readonly number[], q: readonly number[]): number =>
    p.reduce((sum, value, i) => sum + (value - middle) * (q[i]! - middle), 0);
  const spread = Math.sqrt(product(a, a) * product(b, b));
  return spread === 0 ? null : product(a, b) / spread;
};
