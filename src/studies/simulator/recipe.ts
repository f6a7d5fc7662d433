// What a run of the simulator study is made of.
import type {
  Algorithm,
  BuilderOptions,
  DatasetKind,
  DynamicsGap,
  EnvId,
  H2oOptions,
  LearnerOptions,
} from '../../control/index.js';

/** Sizes of networks and batches, and the step of every Adam. */
export interface Sizes {
  readonly hidden: readonly number[];
  readonly batch: number;
  readonly learningRate: number;
}

/** Steps in the simulator, as many updates, and the evaluations on the way. */
export interface Plan {
  readonly steps: number;
  /** Steps before as many updates. */
  readonly chunk: number;
  readonly evaluateEvery: number;
  /** Of each evaluation, in the real system and in the simulator. */
  readonly episodes: number;
  /** Another step of every Adam from there on. Default none. */
  readonly slower?: { readonly from: number; readonly learningRate: number };
}

/** Offline data of the real system, by SAC that is stopped at a score. */
export interface DataRecipe {
  readonly kinds: readonly DatasetKind[];
  /** Of kinds other than medium-replay, whose length is that of learning. */
  readonly transitions: number;
  /** Normalised score at which a policy counts as medium. */
  readonly mediumScore: number;
  readonly seed: number;
  readonly builder: BuilderOptions;
}

export const gapNames = ['none', 'friction', 'gravity', 'joint noise'] as const;
export type GapName = (typeof gapNames)[number];

/** The gaps of the paper: twice the gravity, 0.3 of the friction, noise N(0, 1) on actions. */
export const gaps: Readonly<Record<GapName, DynamicsGap>> = {
  none: {},
  friction: { friction: 0.3 },
  gravity: { gravity: 2 },
  'joint noise': { jointNoise: 1 },
};

/** Algorithms side by side under one gap. */
export interface CellRecipe {
  readonly algorithms: readonly Algorithm[];
  readonly plan: Plan;
}

/** The locomotion task, in which all gaps but those of the analytic systems are made. */
export interface Locomotion {
  readonly env: EnvId;
  readonly sizes: Sizes;
  readonly data: DataRecipe;
  readonly cells: Partial<Readonly<Record<GapName, CellRecipe>>>;
}

/** Transitions of two pendulums that differ in gravity, under uniform actions. */
export interface PendulumRecipe {
  readonly sizes: Sizes;
  readonly real: number;
  readonly simulated: number;
  readonly heldOut: number;
  readonly updates: number;
  /** Times the nominal noise, of both: 0.1 rad/s a step. */
  readonly processNoise: number;
  /** Factors of the simulator's gravity, in rising order; the last one is graded. */
  readonly gravities: readonly number[];
  readonly bins: number;
}

/** What a learner is told beside its sizes; what is absent is as the learner has it. */
export type LearnerChanges = Pick<
  LearnerOptions,
  'gamma' | 'backupEntropy' | 'observationScale' | 'reward' | 'discriminator'
>;

export type Task = 'stand' | 'move';

/** The robot of the paper on wheels and legs: what is learned in a textbook model of it. */
export interface WheelLeggedRecipe {
  readonly sizes: Sizes;
  readonly plan: Plan;
  readonly algorithms: readonly Algorithm[];
  /** SAC that learns on the robot itself, too: what the recipe can reach. */
  readonly onRobot: boolean;
  /** Steps of the physics (5 ms) for which an action is held. */
  readonly actionRepeat: number;
  readonly learner: Readonly<Record<Task, LearnerChanges>>;
  readonly h2o: H2oOptions;
  /** Control steps of SAC on the robot, all of which are the data. */
  readonly dataSteps: number;
  readonly trialSeconds: number;
  readonly trials: number;
}

export interface CqlRecipe {
  readonly plan: Plan;
  readonly sizes: Sizes;
  /** Parts of the data that H2O and CQL learn from. */
  readonly fractions: readonly number[];
}

export interface Recipe {
  readonly scale: string;
  /** Members of each ensemble: one learner trains all seeds at once. */
  readonly seeds: readonly number[];
  /** Where arms learn. Data are made on the CPU, so that they are the same for all. */
  readonly device: 'cpu' | 'cuda';
  readonly locomotion: Locomotion | null;
  readonly weights: { readonly gaps: readonly GapName[]; readonly bins: number } | null;
  readonly ablations: { readonly gap: GapName; readonly plan: Plan } | null;
  readonly pendulum: PendulumRecipe | null;
  readonly wheelLegged: WheelLeggedRecipe | null;
  readonly cql: CqlRecipe | null;
  /** Signatures that have to hold at this size; a run in which one does not has failed. */
  readonly asserts: readonly string[];
}
