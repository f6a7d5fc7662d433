// What a learner can be told. The defaults are those of the code released with H2O
// (Niu et al. 2022, arXiv 2206.13464).
import type { Device } from '../engine/device.js';

/**
 * - `sac` soft actor-critic on simulated transitions (Haarnoja et al. 2018)
 * - `cql` conservative Q-learning on real data (Kumar et al. 2020, the CQL(H) form)
 * - `darc` SAC on simulated transitions whose rewards are corrected by the log dynamics ratio;
 *   real data only trains the discriminators (Eysenbach et al. 2021)
 * - `darc+` DARC whose agent also trains on real transitions, with their rewards as they are. No
 *   code of the baseline of this name could be found; this is our definition of it.
 * - `mix` SAC on real and simulated transitions alike
 * - `h2o` Niu et al. 2022
 */
export const algorithms = ['sac', 'cql', 'darc', 'darc+', 'mix', 'h2o'] as const;
export type Algorithm = (typeof algorithms)[number];

/** In the order of NextSpread in native/control/settings.h. */
export const nextSpreads = ['paper-code', 'data', 'one-step'] as const;

export interface DiscriminatorOptions {
  /** Default: as the agent's. */
  readonly hidden?: readonly number[];
  /** Transitions of each kind in an update, drawn apart from the agent's. Default: `batch`. */
  readonly batch?: number;
  /** Default: `learningRate`. */
  readonly learningRate?: number;
  /** Standard deviation of the noise on their inputs while they train. Default 0.1. */
  readonly noise?: number;
  /** c of the logits c tanh(f): |ln(P_real / P_sim)| is at most 2c. Default 2. */
  readonly logitScale?: number;
  /** Inputs are standardised by the real data's mean and deviation. Default false, as released. */
  readonly normalize?: boolean;
}

export interface H2oOptions {
  /** Squared errors of simulated rows weigh w = clamp(P_real / P_sim); false: 1. Default true. */
  readonly importanceWeights?: boolean;
  /** ω ∝ u, the dynamics gap; false: uniform (u ≡ 1). Default true. */
  readonly adaptiveGap?: boolean;
  /** The value regulariser; false: none, and everything else still trains. Default true. */
  readonly penalty?: boolean;
  /** Σ ω Q in place of ln Σ ω e^Q. Default false. */
  readonly linear?: boolean;
  /** Weight of the penalty, β. Default 0.01. */
  readonly beta?: number;
  /** Next states that u averages over, N. Default 10. */
  readonly nextSamples?: number;
  /**
   * Their standard deviation about the recorded one, per column: of states and ten times as many
   * rows of zeros, as the released code has it ('paper-code'); of states ('data'); of a step's
   * change ('one-step'). Each plus 1e-3. Default 'paper-code'.
   */
  readonly nextStd?: (typeof nextSpreads)[number];
  /** Bounds of w. Default [1e-5, 1]. */
  readonly ratioRange?: readonly [number, number];
  /** u is at most this. Default 10. */
  readonly gapLimit?: number;
  /** The penalty lies within plus and minus this, where its gradient ends. Default 1000. */
  readonly differenceLimit?: number;
}

export interface CqlOptions {
  /** Of the conservative term. Default 5. */
  readonly weight?: number;
  /** Actions of each kind (uniform, policy at s, policy at s'). Default 10. */
  readonly actions?: number;
  /** Default 1. */
  readonly temperature?: number;
}

/** A reward r is learned from as scale (r - shift). */
export interface RewardUnits {
  /**
   * Taken from every reward, so that a large constant share does not hide what actions decide. What
   * ends an episode is worth `shift` a step from there on. Default 0.
   */
  readonly shift?: number;
  /** Above 0. Default 1. */
  readonly scale?: number;
}

export interface LearnerOptions {
  readonly algorithm: Algorithm;
  readonly obsDim: number;
  readonly actDim: number;
  /**
   * Where networks and transitions live and updates run: 'auto' is what the variable ALIGNLAB_DEVICE
   * names, else the CPU. Random numbers are the same everywhere; sums are added up in other orders,
   * so two kinds of devices agree to single precision and not bit for bit. Default 'auto'.
   */
  readonly device?: Device;
  /** One member of the ensemble each; whole numbers, all different. Default [0]. */
  readonly seeds?: readonly (number | bigint)[];
  /** Widths of the hidden layers of policy and critics, 1 to 8 of them. Default [256, 256]. */
  readonly hidden?: readonly number[];
  /** Transitions in the agent's batch. Default 256. */
  readonly batch?: number;
  /** Of all Adams. Default 3e-4. */
  readonly learningRate?: number;
  /** Default: `learningRate`. */
  readonly policyLearningRate?: number;
  /** Default 0.99. */
  readonly gamma?: number;
  /** Times each number of every observation before networks see it; not 0. Default all 1. */
  readonly observationScale?: readonly number[];
  /** Values, Q in metrics and inspections too, are of rewards so changed. Default as they are. */
  readonly reward?: RewardUnits;
  /** Rate of the target networks, every update. Default 0.005. */
  readonly tau?: number;
  /** Real part of the batch, for mix, darc+ and h2o. Default 0.5. */
  readonly realRatio?: number;
  /** Entropy in the critics' targets. Default true for sac, darc, darc+ and mix, else false. */
  readonly backupEntropy?: boolean;
  /** Default -actDim. */
  readonly targetEntropy?: number;
  /** The temperature: trained from 1 towards the target entropy, or fixed. Default 'auto'. */
  readonly alpha?: 'auto' | number;
  /** Simulated transitions that each member keeps, the newest. Default ten times the real ones. */
  readonly capacity?: number;
  /** For darc, darc+ and h2o. */
  readonly discriminator?: DiscriminatorOptions;
  /** Bound of the log ratio that is added to rewards, for darc and darc+. Default 10. */
  readonly darcClip?: number;
  readonly h2o?: H2oOptions;
  readonly cql?: CqlOptions;
}

export const usesDiscriminators = (algorithm: Algorithm): boolean =>
  algorithm === 'darc' || algorithm === 'darc+' || algorithm === 'h2o';

/** Which kinds of data updates of an algorithm read. */
export const dataNeeds = (algorithm: Algorithm): { real: boolean; sim: boolean } => ({
  real: algorithm !== 'sac',
  sim: algorithm !== 'cql',
});
