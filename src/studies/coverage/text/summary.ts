// What runs of several seeds say together: ends, medians along training, paired wins.
import { bootstrapInterval, mean, quantile } from '../../../evaluation/statistics.js';
import type { BandPoint, Arm as ChartArm } from '../../../report/chart.js';
import { type Measured, decimals, ofSeeds } from '../toys/curves.js';
import type { ArmRun } from './lab.js';
import type { Capabilities, Point } from './measure.js';

export const endOf = ({ result }: ArmRun): Point => result.points.at(-1)!;

export const ends = (runs: readonly ArmRun[], of: (point: Point) => number): number[] =>
  runs.map((run) => of(endOf(run)));

const byStep = (runs: readonly ArmRun[], step: number): Point[] =>
  runs.map(({ result }) => result.points.find((point) => point.step === step)!);

/** Steps at which every run was measured. */
export const stepsOf = (runs: readonly ArmRun[]): number[] =>
  runs[0]!.result.points.map(({ step }) => step);

export const medianAt = (
  runs: readonly ArmRun[],
  step: number,
  of: (point: Point) => number,
): number => quantile(byStep(runs, step).map(of), 0.5);

/** What one seed shows at each of several steps. */
export interface AlongSteps {
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

const middle = (values: readonly number[]): number => quantile(values, 0.5);

/** Share of the steps at which the median of ours is at most that of theirs. */
export const shareAtMost = (seeds: readonly AlongSteps[]): Measured =>
  ofSeeds(seeds, (drawn) => {
    const below = seeds[0]!.ours.map((_, step) => {
      const [ours, theirs] = (['ours', 'theirs'] as const).map((side) =>
        middle(drawn.map((seed) => seed[side][step]!)),
      );
      return Number(ours! <= theirs!);
    });
    return mean(below);
  });

/** Middle one of the seeds with the lowest and highest as its band. */
export const bandOf = (x: number, values: readonly number[]): BandPoint => ({
  x,
  y: quantile(values, 0.5),
  low: Math.min(...values),
  high: Math.max(...values),
  seeds: values.length,
});

export const bandText = 'Lines are medians over seeds; bands go from the lowest to the highest seed.';

export const alongTraining = (
  label: string,
  start: Point,
  runs: readonly ArmRun[],
  of: (point: Point) => number,
): ChartArm => ({
  label,
  points: [
    { x: 0, y: of(start) },
    ...stepsOf(runs).map((step) => bandOf(step, byStep(runs, step).map(of))),
  ],
});

/** By prompt, mean over seeds of the difference of outcomes at the end: the prompts are the same. */
export const pairedWins = (runs: readonly ArmRun[], others: readonly ArmRun[]): number[] =>
  endOf(runs[0]!).outcomes.map((_, prompt) =>
    mean(
      runs.map((run, i) => endOf(run).outcomes[prompt]! - endOf(others[i]!).outcomes[prompt]!),
    ),
  );

/** Win rate of the first less that of the second, with an interval over prompts. */
export const winDifference = (runs: readonly ArmRun[], others: readonly ArmRun[]): Measured => {
  const differences = pairedWins(runs, others);
  return { value: mean(differences), interval: bootstrapInterval(differences, mean) };
};

/** Sample standard deviation; 0 for one seed. */
export const deviation = (values: readonly number[]): number => {
  const middle = mean(values);
  const squares = values.map((value) => (value - middle) ** 2);
  return values.length < 2 ? 0 : Math.sqrt((mean(squares) * values.length) / (values.length - 1));
};

export const meanAndDeviation = (values: readonly number[], digits = 3): string =>
  `${decimals(mean(values), digits)} (${decimals(deviation(values), digits)})`;

/** For result.json. */
export const endNumbers = (runs: readonly ArmRun[]) => ({
  kl: ends(runs, ({ kl }) => kl),
  winRate: ends(runs, ({ winRate }) => winRate),
  rewardScore: ends(runs, ({ rewardScore }) => rewardScore),
  onData: ends(runs, ({ onData }) => onData),
  length: ends(runs, ({ length }) => length),
});

export const capabilitiesOf = (
  runs: readonly ArmRun[],
  name: keyof Capabilities,
): number[] => runs.map(({ result }) => result.capabilities[name]);

export const klOf = ({ kl }: Point): number => kl;
export const winRateOf = ({ winRate }: Point): number => winRate;

export const klAxis = { title: 'KL(π‖π_ref) on fresh samples', unit: 'nats' } as const;
export const winRateAxis = { title: 'win rate by the golden judge' } as const;
export const stepAxis = { title: 'optimiser steps' } as const;

/** One text for all figures: what is measured on what. */
export const heldOut =
  'Measured on prompts held out from all training; the golden judge is the world’s rater without ' +
  'noise, the opponent the world’s own writer.';
