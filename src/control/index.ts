// Control: environments with gaps in their dynamics, offline data, learners, and their training.
export * from './environments/index.js';
export * from './data/index.js';
export {
  type Algorithm,
  type Inspection,
  Learner,
  type LearnerMetrics,
  type LearnerOptions,
  type Source,
  type Transitions,
  actingLearner,
  createLearner,
} from './learner.js';
export {
  type CqlOptions,
  type DiscriminatorOptions,
  type H2oOptions,
  type RewardUnits,
  algorithms,
  usesDiscriminators,
} from './learner-options.js';
export {
  type LearnerPreset,
  type PresetName,
  learnerPresets,
  presetNames,
  presetOptions,
} from './presets.js';
export {
  type MemberEvaluation,
  type TrainingEvaluation,
  type TrainingRequest,
  type TrainingResult,
  memberPolicy,
  trainOffDynamics,
} from './train.js';
