// The clouds of checkpoints of each method, all seeds and settings pooled.
import type { FrontierPoint } from '../../evaluation/frontier.js';
import type { ArmRun } from './arms.js';
import { type Point, frontierPoint } from './measure.js';
import type { Runs } from './run.js';

const pointsOf = (runs: readonly ArmRun[], start: Point): FrontierPoint[] =>
  runs.flatMap((run) => [
    frontierPoint(start, run.name, run.arm.seed),
    ...run.result.points.map((point) => frontierPoint(point, run.name, run.arm.seed)),
  ]);

export interface Clouds {
  readonly online: readonly FrontierPoint[];
  readonly offline: readonly FrontierPoint[];
  readonly shuffled: readonly FrontierPoint[];
  /** At the recipe's weak beta; empty where there is none. */
  readonly weakOnline: readonly FrontierPoint[];
  readonly weakShuffled: readonly FrontierPoint[];
}

export const cloudsOf = ({ seeds, start }: Runs): Clouds => ({
  online: pointsOf(
    seeds.map(({ online }) => online),
    start,
  ),
  offline: pointsOf(
    seeds.flatMap(({ offline }) => offline),
    start,
  ),
  shuffled: pointsOf(
    seeds.flatMap(({ shuffled }) => shuffled),
    start,
  ),
  weakOnline: pointsOf(
    seeds.flatMap(({ weak }) => weak?.online ?? []),
    start,
  ),
  weakShuffled: pointsOf(
    seeds.flatMap(({ weak }) => weak?.shuffled ?? []),
    start,
  ),
});
