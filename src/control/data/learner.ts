// What building a dataset needs of a learner that acts and improves, and what it is told to be.
import type { EnvSpec } from '../environments/environment.js';

export interface ActingLearner {
  /** Into its replay buffer. */
  push(
    obs: Float32Array,
    act: Float32Array,
    reward: number,
    next: Float32Array,
    terminated: boolean,
  ): void;
  /** n gradient steps. */
  update(n: number): Promise<unknown>;
  /** Actions [rows, actDim] for observations [rows, obsDim]. */
  act(obs: Float32Array, rows: number, mode: 'sample' | 'mean', out: Float32Array): void;
  /** All that `restore` needs to act again as now; the replay buffer is not in it. */
  state(): Uint8Array;
  restore(state: Uint8Array): void;
  dispose(): void;
}

/** Soft actor-critic for building data; defaults after the sizes that learn in minutes. */
export interface BuilderOptions {
  /** Default [64, 64]. */
  readonly hidden?: readonly number[];
  /** Default 64. */
  readonly batch?: number;
  /** Of all Adams. Default 1e-3. */
  readonly learningRate?: number;
  /** Uniform actions before learning. Default 5000. */
  readonly warmup?: number;
  /** Environment steps between evaluations of 5 deterministic episodes. Default 5000. */
  readonly evaluateEvery?: number;
  /** Environment steps after which training ends. Default 200000. */
  readonly maxSteps?: number;
  /** Steps in the environment before as many updates. Default 50. */
  readonly chunk?: number;
}

export interface LearnerRequest {
  readonly hidden: readonly number[];
  readonly batch: number;
  readonly learningRate: number;
  readonly seed: bigint;
  /** Transitions that the replay buffer must hold. */
  readonly capacity: number;
}

export type MakeLearner = (
  spec: EnvSpec,
  request: LearnerRequest,
) => ActingLearner | Promise<ActingLearner>;

/** The options of the native learner that building data sets; the others keep their defaults. */
export interface SacOptions {
  readonly algorithm: 'sac';
  readonly obsDim: number;
  readonly actDim: number;
  readonly hidden: readonly number[];
  readonly batch: number;
  readonly learningRate: number;
  readonly seeds: readonly bigint[];
  readonly capacity: number;
}

/** Soft actor-critic for `buildDataset`: `sacMaker((options) => actingLearner(createLearner(options)))`. */
export const sacMaker =
  (make: (options: SacOptions) => ActingLearner): MakeLearner =>
  ({ obsDim, actDim }, { seed, ...sizes }) =>
    make({ algorithm: 'sac', obsDim, actDim, seeds: [seed], ...sizes });
