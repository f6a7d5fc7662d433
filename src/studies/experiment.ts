// What a study is made of: experiments, each with its figures and signatures beside each other.
import type { JsonObject } from '../checkpoint/json.js';
import type { ReportFigure } from '../report/report.js';
import type { Signature } from './signature.js';

export interface Findings {
  readonly signatures: readonly Signature[];
  readonly figures: readonly ReportFigure[];
  /** Numbers for result.json, under the experiment's id. */
  readonly data?: JsonObject;
}

export interface Experiment<Lab, Found = unknown> {
  /** What --only takes: 'fig-4'. */
  readonly id: string;
  readonly title: string;
  /** Whether the lab's recipe has it. */
  includes(lab: Lab): boolean;
  /** Everything it needs of one seed. Every number comes from stages: a second call only reads. */
  run(lab: Lab, seed: number): Promise<Found>;
  /** From all seeds, in the order of the recipe. */
  findings(lab: Lab, found: readonly Found[]): Promise<Findings>;
}

/** An experiment whose kind of results is its own matter. */
export interface AnyExperiment<Lab> extends Pick<
  Experiment<Lab>,
  'id' | 'title' | 'includes' | 'run'
> {
  /** Runs all seeds, of which every stage is there already or is made now. */
  conclude(lab: Lab, seeds: readonly number[]): Promise<Findings>;
}

export const anyExperiment = <Lab, Found>(
  experiment: Experiment<Lab, Found>,
): AnyExperiment<Lab> => ({
  id: experiment.id,
  title: experiment.title,
  includes: (lab) => experiment.includes(lab),
  run: (lab, seed) => experiment.run(lab, seed),
  conclude: async (lab, seeds) => {
    const found: Found[] = [];
    for (const seed of seeds) found.push(await experiment.run(lab, seed));
    return experiment.findings(lab, found);
  },
});
