// Keys of optimisation, samples and the run folder: the second half of keys.ts.
import { z } from 'zod';
import { scheduleTypes } from '../../training/schedule.js';
import { fraction, keysOf, positive, whole, words } from './key.js';

const optimisation = keysOf('Optimisation');
const samples = keysOf('Samples and judge');
const run = keysOf('Run folder, logging, evaluation, checkpoints');

export const optimisationKeys = {
  learning_rate: optimisation.number(z.number().min(0), 'at the peak', { default: 1e-6 }),
  lr_scheduler_type: optimisation.text(z.enum(scheduleTypes), 'after the warm-up', {
    default: 'linear',
  }),
  lr_scheduler_kwargs: optimisation.any(
    z
      .strictObject({
        num_cycles: positive.optional(),
        min_lr: z.number().min(0).optional(),
        min_lr_rate: fraction.optional(),
      })
      .nullable(),
    '{num_cycles, min_lr, min_lr_rate} of the cosines',
    { default: null },
  ),
  warmup_steps: optimisation.number(
    z.number().min(0),
    'steps from 0 to the peak; below 1: a share',
    {
      default: 0,
    },
  ),
  warmup_ratio: optimisation.number(fraction.nullable(), 'the same as a share of all steps', {
    default: null,
  }),
  weight_decay: optimisation.number(z.number().min(0), 'decoupled; not of biases and norms', {
    default: 0,
  }),
  adam_beta1: optimisation.number(z.number().min(0).lt(1), 'of the first moment', { default: 0.9 }),
  adam_beta2: optimisation.number(z.number().min(0).lt(1), 'of the second', { default: 0.999 }),
  adam_epsilon: optimisation.number(positive, 'added to the root', { default: 1e-8 }),
  max_grad_norm: optimisation.number(z.number().min(0), 'clips the gradient; 0: no clipping', {
    default: 1,
  }),
  per_device_train_batch_size: optimisation.number(whole(1), 'rows of a micro-batch', {
    default: 8,
  }),
  gradient_accumulation_steps: optimisation.number(whole(1), 'micro-batches of a step', {
    default: 1,
  }),
  micro_batch_tokens: optimisation.number(
    whole(1).nullable(),
    'tokens of a pass instead; with normalization step the result is the same',
    { default: null },
  ),
  normalization: optimisation.text(
    z.enum(['step', 'micro']),
    "the loss is a mean over the step (exact), or TRL's: the mean of micro-batch means",
    { default: 'step' },
  ),
  num_train_epochs: optimisation.number(positive, 'passes over the data', { default: 3 }),
  max_steps: optimisation.number(z.int(), 'ends earlier or later than epochs say; -1: epochs', {
    default: -1,
  }),
  dataloader_drop_last: optimisation.flag('leave out an incomplete batch at the end of an epoch'),
  seed: optimisation.number(z.int().min(0), 'of everything random', { default: 42 }),
};

export const sampleKeys = {
  prompts: samples.text(words.nullable(), 'file with the prompts to sample from; unset: dataset', {
    default: null,
    scope: 'samples',
  }),
  judge: samples.text(
    words.nullable(),
    'rule:NAME[:PARAMETERS], reward-model:FOLDER, preference-model:FOLDER or endpoint:URL',
    { default: null, scope: 'samples' },
  ),
  judge_options: samples.any(
    z.record(z.string(), z.json()).nullable(),
    'parameters of the judge: {target: 20}',
    { default: null, scope: 'samples' },
  ),
  num_generations: samples.number(whole(1), 'samples of a prompt', {
    default: 2,
    scope: 'samples',
  }),
  temperature: samples.number(positive, 'of sampling; losses are at temperature 1', {
    default: 1,
    scope: 'samples',
  }),
  top_p: samples.number(fraction, 'below 1 only with allow_biased_sampling', {
    default: 1,
    scope: 'samples',
  }),
  top_k: samples.number(whole(0), '0: all; more only with allow_biased_sampling', {
    default: 0,
    scope: 'samples',
  }),
  min_p: samples.number(fraction.nullable(), 'above 0 only with allow_biased_sampling', {
    default: null,
    scope: 'samples',
  }),
  repetition_penalty: samples.number(positive, 'not 1 only with allow_biased_sampling', {
    default: 1,
    scope: 'samples',
  }),
  allow_biased_sampling: samples.flag(
    'sample from another distribution than the one whose log-probabilities are trained',
    { default: false, scope: 'samples' },
  ),
  tie_policy: samples.text(
    z.enum(['drop', 'first', 'random']),
    'a pair that the judge calls equal: left out, or which sample is chosen',
    { default: 'drop', scope: 'pairs' },
  ),
  mixture_coef: samples.number(fraction, "the reference's share in the opponent", {
    default: 0.5,
    scope: 'mixture',
  }),
  num_iterations: samples.number(whole(1), 'passes over each batch of samples', {
    default: 1,
    scope: 'samples',
  }),
  num_mini_batches: samples.number(whole(1), 'optimiser steps of a pass over a batch of samples', {
    default: 1,
    scope: 'samples',
  }),
  steps_per_generation: samples.number(
    whole(1).nullable(),
    'the same in micro-batches, as in TRL; unset: gradient_accumulation_steps',
    { default: null, scope: 'samples' },
  ),
  value_model: samples.text(
    words.nullable(),
    'folder that the critic starts from; unset: the policy with a new scalar head',
    { default: null, scope: 'critic' },
  ),
  value_learning_rate: samples.number(
    z.number().min(0).nullable(),
    "of the critic; unset: the policy's",
    { default: null, scope: 'critic' },
  ),
  missing_eos_penalty: samples.number(
    z.number().min(0).nullable(),
    'taken off the reward of a sample without end-of-text',
    { default: null, scope: 'samples' },
  ),
  sync_every: samples.any(
    z.union([whole(1), z.literal('never')]),
    'steps between copies of the policy into the sampler: 1 online, n iterative, never offline',
    { default: 1, scope: 'samples' },
  ),
  groups_per_pair: samples.number(whole(1), 'prompts that are sampled for each pair of the data', {
    default: 1,
    scope: 'hybrid',
  }),
  replay: samples.text(words.nullable(), 'run folder whose recorded samples are used again', {
    default: null,
    scope: 'samples',
  }),
  replay_order: samples.text(
    z.enum(['recorded', 'windows', 'shuffled']),
    'as they were drawn; shuffled among replay_window batches; shuffled',
    { default: 'recorded', scope: 'samples' },
  ),
  replay_window: samples.number(whole(1).nullable(), 'batches of a window', {
    default: null,
    scope: 'samples',
  }),
};

const steps = (schema: z.ZodNumber) => z.union([schema, z.literal('log')]);

export const runKeys = {
  output_dir: run.text(words.nullable(), 'the run folder; also --output', { default: null }),
  overwrite_output_dir: run.flag('start anew in a folder that holds a run'),
  resume_from_checkpoint: run.any(
    z.union([z.boolean(), words]).nullable(),
    'auto, or a checkpoint-N folder',
    { default: null },
  ),
  run_name: run.text(words.nullable(), "for trackers; unset: the folder's name", {
    default: null,
  }),
  report_to: run.any(
    z.union([words, z.array(words)]),
    'tensorboard, none; metrics.jsonl is always written',
    { default: 'tensorboard' },
  ),
  logging_steps: run.number(
    positive,
    'steps between lines on the screen; metrics.jsonl has every step',
    {
      default: 10,
    },
  ),
  eval_strategy: run.text(z.enum(['no', 'steps', 'epoch']), 'when held-out rows are scored', {
    default: 'no',
  }),
  eval_steps: run.number(
    positive.nullable(),
    'steps between; below 1: a share; unset: logging_steps',
    {
      default: null,
    },
  ),
  eval_on_start: run.flag('score them before the first step, too'),
  per_device_eval_batch_size: run.number(whole(1), 'rows of an evaluation pass', { default: 8 }),
  save_strategy: run.text(z.enum(['no', 'steps', 'epoch']), 'when checkpoints are written', {
    default: 'steps',
  }),
  save_steps: run.any(
    steps(z.number().positive()),
    'steps between; below 1: a share; log: 1, 2, 3, 6, 10, 18 ...',
    {
      default: 500,
    },
  ),
  save_total_limit: run.number(whole(1).nullable(), 'older checkpoints are removed', {
    default: null,
  }),
};
