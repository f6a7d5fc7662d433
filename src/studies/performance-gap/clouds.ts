// The clouds of checkpoints of each method, all seeds and settings pooled.
import type { FrontierPoint } from '../../evaluation/frontier.js';
import type { ArmRun } from './arms.js';
import { frontierPoint } from './measure.js';
import type { Runs } from './run.js';

export type Cloud = readonly FrontierPoint[];

export interface Clouds {
  readonly online: Cloud;
  readonly offline: Cloud;
  readonly shuffled: Cloud;
}

export interface AllClouds extends Clouds {
  /** At the recipe's weak beta; empty where there is none. */
  readonly weak: Clouds;
  /** Empty where the recipe has none. */
  readonly bestOf2: Clouds;
  /** Offline on data of the final online policy, and that policy alone. */
  readonly endVersusEnd: Cloud;
  readonly end: Cloud;
}

export const cloudsOf = ({ seeds, start }: Runs): AllClouds => {
  const cloud = (runs: readonly (ArmRun | undefined)[]): Cloud =>
    runs
      .filter((run) => run !== undefined)
      .flatMap(({ name, arm, result }) =>
        [start, ...result.points].map((point) => frontierPoint(point, name, arm.seed)),
      );
  const regime = (name: 'weak' | 'bestOf2'): Clouds => ({
    online: cloud(seeds.map((seed) => seed[name]?.online)),
    offline: cloud(seeds.map((seed) => seed[name]?.offline)),
    shuffled: cloud(seeds.map((seed) => seed[name]?.shuffled)),
  });
  return {
    online: cloud(seeds.map(({ online }) => online)),
    offline: cloud(seeds.flatMap(({ offline }) => offline)),
    shuffled: cloud(seeds.flatMap(({ shuffled }) => shuffled)),
    weak: regime('weak'),
    bestOf2: regime('bestOf2'),
    endVersusEnd: cloud(seeds.flatMap(({ endVersusEnd }) => endVersusEnd)),
    end: seeds.map(({ online: { name, result }, seed }) =>
      frontierPoint(result.points.at(-1)!, name, seed),
    ),
  };
};
