// The study's experiments, in the order of the report.
import { type AnyExperiment, anyExperiment } from '../../experiment.js';
import type { Lab } from '../lab.js';
import { classification } from './classification.js';
import { datasetSize } from './dataset-size.js';
import { figure1 } from './fig-1.js';
import { figure12 } from './fig-12.js';
import { figure13 } from './fig-13.js';
import { figure4 } from './fig-4.js';
import { figure5 } from './fig-5.js';
import { figure9 } from './fig-9.js';
import { gao } from './gao.js';
import { hypo } from './hypo.js';
import { losses } from './losses.js';
import { policySize } from './policy-size.js';
import { proxySize } from './proxy-size.js';
import { syncEvery } from './sync-every.js';
import { trust } from './trust.js';

export const experiments: readonly AnyExperiment<Lab>[] = [
  anyExperiment(figure1),
  anyExperiment(figure4),
  anyExperiment(figure13),
  anyExperiment(figure5),
  anyExperiment(figure12),
  anyExperiment(classification),
  anyExperiment(figure9),
  anyExperiment(policySize),
  anyExperiment(gao),
  anyExperiment(proxySize),
  anyExperiment(syncEvery),
  anyExperiment(datasetSize),
  anyExperiment(losses),
  anyExperiment(hypo),
  anyExperiment(trust),
];
