// Options of train(), checked when it is called.
import type { JsonObject } from '../checkpoint/json.js';
import type { LanguageModel } from '../engine/model.js';
import { type PolicyModel, isPolicyModel } from '../engine/policy-model.js';
import { AlignlabError } from '../errors.js';
import type { Objective } from '../objectives/objective.js';
import { type OptionNames, refuseUnknown, requireWhole } from '../options.js';
import type { Source } from '../sources/source.js';
import type { EarlyStop } from './early-stop.js';
import { type StepPlan, plannedSteps } from './evaluation-schedule.js';
import type { Critic } from './learner.js';
import { type Normalization, checkNormalization } from './normalization.js';
import type { Optimizer } from './optimizer.js';
import type { Reference } from './reference.js';
import { type Reuse, type RolloutOptions, checkRollouts } from './rollouts.js';
import type { Recorder, TrainState } from './run.js';
import type { ScheduleOptions } from './schedule.js';

/** A plan of steps (every n-th, a list, log-spaced), or a function of the step; 1 is the first. */
export type When = StepPlan | ((step: number) => boolean);

export interface EvaluationContext<Model extends PolicyModel = LanguageModel> {
  /** Optimiser steps made. */
  readonly step: number;
  readonly policy: Model;
  readonly reference: Reference<Model> | null;
  readonly signal?: AbortSignal;
}

export interface EvaluateOptions<Model extends PolicyModel = LanguageModel> {
  readonly every: When;
  /** Also before the first step. Default false. */
  readonly atStart?: boolean;
  /** Its metrics are recorded, and go to `earlyStop`. */
  run(context: EvaluationContext<Model>): Promise<Readonly<Record<string, number>>>;
}

export interface TrainOptions<Model extends PolicyModel = LanguageModel> {
  readonly policy: Model;
  readonly source: Source;
  readonly objective: Objective;
  readonly optimizer: Optimizer;
  /** Optimiser steps of the whole run. Default: until the source is used up. */
  readonly steps?: number;
  /**
   * A frozen model, or a Reference such as `cachedReference`. Default, where the objective needs
   * one: a copy of the policy as it is passed, made and disposed of by the loop.
   */
  readonly reference?: Model | Reference<Model>;
  /** false: the policy is meant to start away from the reference. Default true: checked. */
  readonly startsFromReference?: boolean;
  /**
   * Whether the first samples come from the policy as it is passed; then their log-probabilities
   * are checked. Default: where the source describes itself as 'on-policy'.
   */
  readonly startsOnPolicy?: boolean;
  /** The reference follows: after each `every` steps, reference += alpha * (policy - reference). */
  readonly referenceSync?: { readonly every: number; readonly alpha: number };
  readonly critic?: Critic;
  /**
   * As transformers' schedulers (default 'linear' without warm-up; 'constant' in a run without an
   * end), or the factor of the learning rate at each step, the first being 1.
   */
  readonly schedule?: ScheduleOptions | ((step: number) => number);
  /** Examples of an optimiser step: pairs, completions or groups. Default 8. */
  readonly batchSize?: number;
  readonly normalization?: Normalization;
  /** Tokens of a pass through the model at most: memory, not results. Default 8192. */
  readonly maxTokensPerPass?: number;
  /** Prompt and response together, of KTO's mismatched ones. Default: the model's positions. */
  readonly maxLength?: number;
  readonly rollouts?: RolloutOptions;
  /** Run each block again in backward: less memory, a third slower. Default false. */
  readonly recompute?: boolean;
  /** Log the policy's mean entropy in nats. Default false. */
  readonly logEntropy?: boolean;
  readonly evaluate?: EvaluateOptions<Model>;
  /** When checkpoints are written, by the recorder; with it, also at the end. */
  readonly checkpoints?: When;
  readonly earlyStop?: EarlyStop;
  readonly recorder?: Recorder;
  /** true: go on from the recorder's newest checkpoint, if it has one; or from a state. */
  readonly resume?: boolean | TrainState;
  /** Recorded in the manifest beside what the loop itself says. */
  readonly manifest?: JsonObject;
  /** Of the order of mini-batches. Default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

export interface Settings extends TrainOptions<PolicyModel> {
  readonly steps: number;
  readonly batchSize: number;
  readonly normalization: Normalization;
  readonly maxTokensPerPass: number;
  readonly maxLength: number;
  readonly rollouts: Reuse;
  readonly seed: number;
}

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

/** As train() takes them, of whatever model. */
type Given = TrainOptions<PolicyModel>;

const known: OptionNames<Given> = {
  policy: true,
  source: true,
  objective: true,
  optimizer: true,
  steps: true,
  reference: true,
  startsFromReference: true,
  startsOnPolicy: true,
  referenceSync: true,
  critic: true,
  schedule: true,
  batchSize: true,
  normalization: true,
  maxTokensPerPass: true,
  maxLength: true,
  rollouts: true,
  recompute: true,
  logEntropy: true,
  evaluate: true,
  checkpoints: true,
  earlyStop: true,
  recorder: true,
  resume: true,
  manifest: true,
  seed: true,
  signal: true,
};

const checkNames = (options: Given): void => {
  refuseUnknown('train()', options, known);
  const { referenceSync, critic, evaluate } = options;
  if (referenceSync) refuseUnknown('referenceSync', referenceSync, { every: true, alpha: true });
  if (critic) refuseUnknown('critic', critic, { model: true, optimizer: true });
  if (evaluate) refuseUnknown('evaluate', evaluate, { every: true, atStart: true, run: true });
};

const checkModels = (options: Given): void => {
  const { policy, objective, critic, reference, referenceSync } = options;
  if (!isPolicyModel(policy)) refuse('policy must be a LanguageModel, or another trainable model.');
  if (!policy.trainable) refuse('The policy is frozen. Load it with trainable: true.');
  if (critic && !critic.model.trainable)
    refuse('The critic is frozen. Load it with trainable: true.');
  if (critic && !objective.needs.values) {
    refuse(`${objective.name} has no use for a critic. Leave it out.`);
  }
  if (!critic && objective.needs.values) {
    refuse(
      `${objective.name} needs a critic: pass critic: { model } with a model of one scalar output, ` +
        'such as LanguageModel.load(folder, { scalarHead: 1 }).',
    );
  }
  if (reference && !objective.needs.reference) {
    refuse(`${objective.name} has no use for a reference. Leave it out.`);
  }
  if (reference === policy) {
    refuse('The reference is the policy itself and would move with it. Pass a clone, or none.');
  }
  if (!referenceSync) return;
  requireWhole('referenceSync.every', referenceSync.every);
  if (!(referenceSync.alpha > 0 && referenceSync.alpha <= 1)) {
    refuse(`referenceSync.alpha must be above 0 and at most 1, got ${referenceSync.alpha}.`);
  }
  if (!objective.needs.reference)
    refuse(`${objective.name} has no reference to follow the policy.`);
  if (reference && !isPolicyModel(reference)) {
    refuse('A reference that follows the policy cannot be cached. Pass a LanguageModel, or none.');
  }
};

const checkFlow = (options: Given): void => {
  const { checkpoints, recorder, resume, evaluate, earlyStop } = options;
  if (checkpoints !== undefined && !recorder) {
    refuse('checkpoints need a recorder to write them, such as a run folder.');
  }
  if (resume === true && !recorder) refuse('resume: true needs a recorder to resume from.');
  if (earlyStop && !evaluate) refuse('earlyStop needs evaluate: it watches its metrics.');
};

/** Throws OPTION_INVALID. */
export const checkOptions = (options: Given): Settings => {
  checkNames(options);
  checkModels(options);
  checkFlow(options);
  const { policy, steps = Infinity, batchSize = 8, maxTokensPerPass = 8192, seed = 0 } = options;
  const { normalization = 'step', maxLength = policy.shape.maxPosition } = options;
  if (steps !== Infinity) requireWhole('steps', steps, 0);
  requireWhole('batchSize', batchSize);
  requireWhole('maxTokensPerPass', maxTokensPerPass);
  requireWhole('maxLength', maxLength);
  if (!Number.isSafeInteger(seed)) refuse(`seed must be a whole number, got ${seed}.`);
  checkNormalization(normalization);
  const rollouts = checkRollouts(options.rollouts ?? {});
  return {
    ...options,
    steps,
    batchSize,
    normalization,
    maxTokensPerPass,
    maxLength,
    rollouts,
    seed,
  };
};

/** Whether it is time, by step. A run without an end takes plain numbers and functions. */
export const dueSteps = (when: When | undefined, steps: number): ((step: number) => boolean) => {
  if (when === undefined) return () => false;
  if (typeof when === 'function') return when;
  if (steps === Infinity && typeof when === 'number' && Number.isSafeInteger(when) && when >= 1) {
    return (step) => step % when === 0;
  }
  const planned = new Set(plannedSteps(when, steps));
  return (step) => planned.has(step);
};
