// The experiments of the coverage study on text, in the order of the report.
import { type AnyExperiment, anyExperiment } from '../../../experiment.js';
import type { Lab } from '../../lab.js';
import { capabilities } from './capabilities.js';
import { coverageSweep } from './coverage-sweep.js';
import { klCurves } from './kl-curves.js';
import { lambdas } from './lambdas.js';
import { mainTable } from './main-table.js';
import { onOffKl } from './on-off-kl.js';
import { samples } from './samples.js';
import { stories } from './stories.js';

export const textExperiments: readonly AnyExperiment<Lab>[] = [
  anyExperiment(klCurves),
  anyExperiment(mainTable),
  anyExperiment(lambdas),
  anyExperiment(samples),
  anyExperiment(coverageSweep),
  anyExperiment(onOffKl),
  anyExperiment(capabilities),
  anyExperiment(stories),
];
