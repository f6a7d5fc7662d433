// The experiments of the coverage study, in the order of the report.
import { type AnyExperiment, anyExperiment } from '../../experiment.js';
import type { Lab } from '../lab.js';
import { textExperiments } from '../text/experiments/index.js';
import { displacement } from './displacement.js';
import { estimators } from './estimators.js';
import { extrapolation } from './extrapolation.js';
import { threeResponses } from './three-responses.js';

export const experiments: readonly AnyExperiment<Lab>[] = [
  anyExperiment(threeResponses),
  anyExperiment(extrapolation),
  anyExperiment(displacement),
  anyExperiment(estimators),
  ...textExperiments,
];
