// From settings to options of train(): steps, batch, optimiser, schedule, and when things happen.
import { type When, type TrainOptions } from '../../training/options.js';
import { type StepPlan, plannedSteps } from '../../training/evaluation-schedule.js';
import { adamW } from '../../training/optimizer.js';
import type { Settings } from '../config/keys.js';
import { invalid } from '../config/layers.js';
import type { ResolvedConfig } from '../config/resolve.js';

/** Examples (rows, prompts) of an optimiser step, and of a micro-batch. */
export interface Batch {
  readonly step: number;
  readonly micro: number;
}

/** TRL's group trainers count samples in per_device_train_batch_size; a group is one example here. */
export const batchOf = ({ command, settings }: ResolvedConfig): Batch => {
  const { per_device_train_batch_size: device, gradient_accumulation_steps: times } = settings;
  if (!command.countsSamples) return { step: device * times, micro: device };
  const { num_generations: samples } = settings;
  const prompts = (device * times) / samples;
  if (Number.isInteger(prompts)) return { step: prompts, micro: Math.max(1, device / samples) };
  throw invalid(
    `A step of ${command.name} has per_device_train_batch_size (${device}) times ` +
      `gradient_accumulation_steps (${times}) samples, which must be a multiple of num_generations ` +
      `(${samples}). Change one of them.`,
  );
};

/** Optimiser steps of one pass over a batch of samples. */
const miniBatchesOf = (settings: Settings): number => {
  const { num_mini_batches: own, steps_per_generation: micro } = settings;
  if (micro === null) return own;
  const parts = micro / settings.gradient_accumulation_steps;
  if (own === 1 && Number.isInteger(parts)) return parts;
  throw invalid(
    `steps_per_generation (${micro}) must be a multiple of gradient_accumulation_steps ` +
      `(${settings.gradient_accumulation_steps}), and takes no num_mini_batches beside it.`,
  );
};

/** `size`: rows of one pass over the data; undefined for a stream. */
export const stepsPerEpoch = (size: number | undefined, config: ResolvedConfig): number | null => {
  if (size === undefined) return null;
  const { settings } = config;
  const batch = batchOf(config).step;
  const batches = size / batch;
  const isSampled = config.command.source === 'on-policy' && settings.replay === null;
  if (isSampled) {
    // Samples that are used several times take fewer prompts a step.
    return Math.max(1, Math.ceil(batches * settings.num_iterations));
  }
  return settings.dataloader_drop_last ? Math.floor(batches) : Math.ceil(batches);
};

export const stepsOf = (size: number | undefined, config: ResolvedConfig): number => {
  const { max_steps: most, num_train_epochs: epochs } = config.settings;
  if (most > 0) return most;
  if (most === 0) throw invalid('max_steps is 0. Give the number of steps, or -1 for epochs.');
  const perEpoch = stepsPerEpoch(size, config);
  if (perEpoch === null) {
    throw invalid(
      'The rows are read as a stream, whose length is not known: give --max-steps, or leave out ' +
        '--dataset-streaming.',
    );
  }
  if (perEpoch > 0) return Math.ceil(perEpoch * epochs);
  throw invalid(
    `There are ${size} rows, fewer than one batch of ${batchOf(config).step}, and ` +
      'dataloader_drop_last leaves such a batch out. Lower the batch size.',
  );
};

const scheduleOf = (settings: Settings): NonNullable<TrainOptions['schedule']> => {
  const { lr_scheduler_type: type, lr_scheduler_kwargs: more, warmup_ratio: ratio } = settings;
  const { num_cycles: cycles, min_lr: least, min_lr_rate: share } = more ?? {};
  return {
    type,
    ...(settings.warmup_steps > 0 ? { warmupSteps: settings.warmup_steps } : {}),
    ...(ratio !== null && ratio > 0 ? { warmupRatio: ratio } : {}),
    ...(cycles === undefined ? {} : { numCycles: cycles }),
    ...(least === undefined ? {} : { minLearningRate: least }),
    ...(share === undefined ? {} : { minLearningRateRatio: share }),
  };
};

export const optimizerOf = (settings: Settings, learningRate = settings.learning_rate) =>
  adamW({
    learningRate,
    betas: [settings.adam_beta1, settings.adam_beta2],
    epsilon: settings.adam_epsilon,
    weightDecay: settings.weight_decay,
    maxGradNorm: settings.max_grad_norm,
  });

export type StepOptions = Pick<
  TrainOptions,
  | 'optimizer'
  | 'schedule'
  | 'batchSize'
  | 'normalization'
  | 'maxTokensPerPass'
  | 'rollouts'
  | 'recompute'
  | 'referenceSync'
  | 'seed'
>;

export const stepOptions = (config: ResolvedConfig): StepOptions => {
  const { settings } = config;
  const batch = batchOf(config);
  return {
    optimizer: optimizerOf(settings),
    schedule: scheduleOf(settings),
    batchSize: batch.step,
    normalization: settings.normalization === 'step' ? 'step' : { microBatch: batch.micro },
    ...(settings.micro_batch_tokens === null
      ? {}
      : { maxTokensPerPass: settings.micro_batch_tokens }),
    rollouts: { epochs: settings.num_iterations, miniBatches: miniBatchesOf(settings) },
    recompute: settings.gradient_checkpointing,
    ...(settings.sync_ref_model
      ? {
          referenceSync: {
            every: settings.ref_model_sync_steps,
            alpha: settings.ref_model_mixup_alpha,
          },
        }
      : {}),
    seed: settings.seed,
  };
};

type Strategy = Settings['save_strategy'];

const byStrategy = (
  strategy: Strategy,
  plan: StepPlan,
  { steps, perEpoch }: { readonly steps: number; readonly perEpoch: number | null },
): readonly number[] => {
  if (strategy === 'no') return [];
  if (strategy === 'steps') return plannedSteps(plan, steps);
  if (perEpoch === null) throw invalid('A stream has no epochs: use the strategy "steps".');
  return plannedSteps(Math.max(1, perEpoch), steps);
};

/** As transformers takes it: below 1, a share of all steps. */
const spacing = (value: number, key: string): number => {
  if (value < 1 || Number.isInteger(value)) return value;
  throw invalid(`${key} must be a whole number of steps, or a share below 1, got ${value}.`);
};

export interface Plans {
  readonly steps: number;
  readonly logging: number;
  readonly evaluations: When;
  readonly checkpoints: readonly number[];
}

export const plansOf = (size: number | undefined, config: ResolvedConfig): Plans => {
  const { settings } = config;
  const steps = stepsOf(size, config);
  const length = { steps, perEpoch: stepsPerEpoch(size, config) };
  const every = spacing(settings.logging_steps, 'logging_steps');
  const logging = every < 1 ? Math.max(1, Math.ceil(every * steps)) : every;
  const { save_steps: save, eval_steps: evaluate } = settings;
  return {
    steps,
    logging,
    evaluations: byStrategy(
      settings.eval_strategy,
      evaluate === null ? logging : spacing(evaluate, 'eval_steps'),
      length,
    ),
    checkpoints: byStrategy(
      settings.save_strategy,
      save === 'log' ? {} : spacing(save, 'save_steps'),
      length,
    ),
  };
};
