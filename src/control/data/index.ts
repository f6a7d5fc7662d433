export { type BuildOptions, type BuildProgress, buildDataset } from './build.js';
export { type DatasetKind, type DatasetRecipe, datasetKinds } from './recipe.js';
export { type Dataset, readDataset, writeDataset } from './folder.js';
export { importD4rl } from './d4rl.js';
export {
  type ActingLearner,
  type BuilderOptions,
  type LearnerRequest,
  type MakeLearner,
  type SacOptions,
  sacMaker,
} from './learner.js';
export {
  type TransitionColumns,
  TransitionLog,
  joinColumns,
  sampleColumns,
  sliceColumns,
} from './transitions.js';
export { Rollout, collect, uniformPolicy } from './collect.js';
