// The study's experiments, in the order of the report.
import type { AnyExperiment } from '../../experiment.js';
import type { Lab } from '../lab.js';
import { ablations } from './ablations.js';
import { cql } from './cql.js';
import { friction } from './friction.js';
import { gravity } from './gravity.js';
import { jointNoise } from './joint-noise.js';
import { noGap } from './no-gap.js';
import { pendulum } from './pendulum.js';
import { returns } from './returns.js';
import { weights } from './weights.js';
import { wheelLegged } from './wheel-legged.js';

export const experiments: readonly AnyExperiment<Lab>[] = [
  jointNoise,
  gravity,
  friction,
  noGap,
  returns,
  weights,
  ablations,
  pendulum,
  wheelLegged,
  cql,
];
