export {
  type DynamicsGap,
  type Env,
  type EnvId,
  type EnvOptions,
  type EnvSpec,
  type StepResult,
  envIds,
} from './environment.js';
export { gapsOf } from './gap.js';
export { describeEnv, makeEnv } from './make.js';
export { type AnalyticEnv, exactDivergence, exactLogRatio } from './gaussian.js';
export { wheelLeggedReal, wheelLeggedSimulator } from './wheel-legged.js';
export { mujocoVersion } from './mujoco.js';
export { VectorEnv, type VectorOptions } from './vector.js';
export {
  type EpisodeStatistics,
  type EvaluationOptions,
  type Policy,
  evaluatePolicy,
  normalizedScore,
  recordPoses,
} from './evaluate.js';
export { type Pose, type Segment, type TimedPose, posesToSvg } from './poses.js';
