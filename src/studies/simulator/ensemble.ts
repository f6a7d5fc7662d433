// Experiments of this study, whose seeds are the members of one ensemble: a run trains them all.
import { type Interval, bootstrapInterval, mean } from '../../evaluation/statistics.js';
import type { AnyExperiment, Findings } from '../experiment.js';
import { type Bound, type Claim, type Signature, measuredSignature } from '../signature.js';
import type { Lab } from './lab.js';
import type { Recipe } from './recipe.js';

export interface EnsembleExperiment<Found> {
  readonly id: string;
  readonly title: string;
  includes(recipe: Recipe): boolean;
  /** Asks for its stages; a second call only reads. */
  run(lab: Lab): Promise<Found>;
  findings(lab: Lab, found: Found): Promise<Findings>;
}

export const ensembleExperiment = <Found>(
  experiment: EnsembleExperiment<Found>,
): AnyExperiment<Lab> => ({
  id: experiment.id,
  title: experiment.title,
  includes: ({ recipe }) => experiment.includes(recipe),
  run: (lab) => experiment.run(lab),
  conclude: async (lab) => experiment.findings(lab, await experiment.run(lab)),
});

export interface OverSeeds {
  readonly value: number;
  /** 95 %, by resampling of the seeds; null for fewer than three. */
  readonly interval: Interval | null;
}

export const overSeeds = (values: readonly number[]): OverSeeds => ({
  value: mean(values),
  interval: values.length < 3 ? null : bootstrapInterval(values, mean),
});

/** Part of the seeds for which something holds: a count, which has no interval. */
export const shareOf = (holds: readonly boolean[]): OverSeeds => ({
  value: holds.filter(Boolean).length / holds.length,
  interval: null,
});

export const listOf = (values: readonly number[], digits = 0): string =>
  values.map((value) => value.toFixed(digits)).join(', ');

export const signature = (
  id: string,
  claim: string,
  found: OverSeeds,
  bound: Bound,
  note: string,
): Signature => {
  const said: Claim = { id, claim, paper: sourceOf(id) };
  return measuredSignature(said, found, bound, note);
};

const sources: Readonly<Record<string, string>> = {
  R1a: 'the table of returns, joint noise',
  R1b: 'the table of returns, joint noise',
  R2: 'the table of returns, gravity',
  R3: 'the premise of the paper',
  R4: 'the dynamics ratio as a weight',
  R5: 'a control without a gap',
  'S3.1': 'the table of returns',
  'S3.2': 'the premise of the paper',
  'S3.3a': 'the adaptive gap u',
  'S3.3b': 'the adaptive gap u',
  'S3.3c': 'the adaptive gap u',
  'S3.4a': 'the value regulariser',
  'S3.4b': 'the value regulariser',
  'S3.5a': 'a control without a gap',
  'S3.5b': 'a control without a gap',
  'S3.6': 'the ablations',
  'S3.7': 'the size of the real data',
  'S3.8a': 'the wheel-legged robot, standing',
  'S3.8b': 'the wheel-legged robot, moving',
  'S3.8c': 'the wheel-legged robot',
  'S3.9a': 'the dynamics ratio as a weight',
  'S3.9b': 'the dynamics ratio as a weight',
};

const sourceOf = (id: string): string => sources[id] ?? 'beyond the paper';
