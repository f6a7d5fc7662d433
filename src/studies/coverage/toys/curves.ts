// Reading curves of toy arms: ends, peaks, and what they are over seeds.
import { type Interval, bootstrapInterval, mean } from '../../../evaluation/statistics.js';
import { type Arm, type Point, armOverSeeds } from '../../../report/chart.js';
import type { Curves } from './train.js';

export const last = ({ values }: Curves, name: string): number => values[name]!.at(-1)!;
export const first = ({ values }: Curves, name: string): number => values[name]![0]!;
export const change = (curves: Curves, name: string): number =>
  last(curves, name) - first(curves, name);
export const peak = ({ values }: Curves, name: string): number =>
  values[name]!.reduce((most, value) => Math.max(most, value));

export interface Measured {
  readonly value: number;
  readonly interval: Interval | null;
}

/** A number that all seeds make together, with its bootstrap interval; below three seeds without. */
export const ofSeeds = <Seed>(
  seeds: readonly Seed[],
  statistic: (seeds: readonly Seed[]) => number,
): Measured => ({
  value: statistic(seeds),
  interval: seeds.length < 3 ? null : bootstrapInterval(seeds, statistic),
});

export const overSeeds = (values: readonly number[]): Measured => ofSeeds(values, mean);

export const points = ({ steps, values }: Curves, name: string): Point[] =>
  steps.map((step, i) => ({ x: step, y: values[name]![i]! }));

export const armOf = (label: string, runs: readonly Curves[], name: string): Arm =>
  armOverSeeds(
    label,
    runs.map((run) => points(run, name)),
  );

export const stepAxis = { title: 'optimiser steps' } as const;
export const klAxis = { title: 'KL from the reference', unit: 'nats' } as const;
export const band = 'Lines are means over seeds; bands go from the lowest to the highest seed.';

export const decimals = (value: number, digits = 2): string => value.toFixed(digits);
export const list = (values: readonly number[], digits = 2): string =>
  values.map((value) => decimals(value, digits)).join(', ');
