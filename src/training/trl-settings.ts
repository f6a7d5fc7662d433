// Settings of TRL's trainers (1.13) in our terms: objective, optimiser, schedule, normalisation and
// encoding. What would change the loss and cannot here is refused by name.
import type { JsonObject } from '../checkpoint/json.js';
import { show } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { objectiveEntry } from '../objectives/index.js';
import type { Objective, ObjectiveEntry } from '../objectives/objective.js';
import { type TrlLoss, trlCpoLosses, trlDpoLosses } from '../objectives/trl.js';
import type { EncodingOptions } from '../text/encoding.js';
import type { Example } from '../text/example.js';
import type { TrainOptions } from './options.js';
import { adamW } from './optimizer.js';
import { type ScheduleOptions, type ScheduleType, scheduleTypes } from './schedule.js';
import { weightedSum } from './weighted-sum.js';

export type TrlTrainer = 'sft' | 'dpo' | 'kto' | 'cpo' | 'orpo' | 'reward';

export interface TrlOptions {
  /**
   * Do what TRL does even where it is at fault: its DPO `sigmoid` passes over `label_smoothing`,
   * and its CPO and ORPO cut long rows as `cutAsTrl` says. Default false: an option that is set
   * acts.
   */
  readonly faithful?: boolean;
}

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

/** The options of an entry that the settings name, under our names. */
const optionsOf = (entry: ObjectiveEntry, settings: JsonObject): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(entry.options).flatMap(([name, spec]) => {
      const value = settings[spec.trl ?? snake(name)];
      return value === undefined || value === null ? [] : [[name, value] as const];
    }),
  );

/** TRL's defaults where ours are others. */
const defaults = { beta: 0.1, label_smoothing: 0 } as const;

const make = ({ objective, options }: TrlLoss, settings: JsonObject): Objective => {
  const entry = objectiveEntry(objective);
  return entry.make({ ...options, ...optionsOf(entry, settings) });
};

const lossOf = (
  table: Readonly<Record<string, TrlLoss>>,
  loss: unknown,
  trainer: string,
): TrlLoss => {
  const found = typeof loss === 'string' ? table[loss] : undefined;
  const known = Object.keys(table).join(', ');
  return found ?? refuse(`loss_type ${show(loss)} is none of ${trainer}'s: ${known}.`);
};

const smooths = ({ options }: Objective): boolean => 'labelSmoothing' in options;

const dpoObjective = (settings: JsonObject, { faithful = false }: TrlOptions): Objective => {
  const given = settings.loss_type ?? 'sigmoid';
  const losses: readonly unknown[] = Array.isArray(given) ? given : [given];
  const weights: readonly unknown[] = Array.isArray(settings.loss_weights)
    ? settings.loss_weights
    : losses.map(() => 1);
  const parts = losses.map((loss) => {
    const own = lossOf(trlDpoLosses, loss, 'DPO');
    // In TRL only robust, exo_pair and aot read it; its plain DPO trains without smoothing.
    const ignored = faithful && loss === 'sigmoid' ? { label_smoothing: 0 } : {};
    return make(own, { ...defaults, ...settings, ...ignored });
  });
  if (!faithful && settings.label_smoothing && !parts.some(smooths)) {
    refuse(`label_smoothing has no effect on loss_type ${losses.join(', ')}. Leave it out.`);
  }
  const [first] = parts;
  if (first && parts.length === 1 && (weights[0] ?? 1) === 1) return first;
  return weightedSum(parts, weights.map(Number));
};

const cpoObjective = (settings: JsonObject): Objective => {
  const loss = settings.loss_type ?? 'sigmoid';
  const { loss_type: _, ...rest } = settings;
  return make(lossOf(trlCpoLosses, loss, 'CPO'), { ...defaults, ...rest });
};

const sftObjective = (settings: JsonObject): Objective => {
  const loss = settings.loss_type ?? 'nll';
  if (loss !== 'nll' && loss !== 'chunked_nll') {
    refuse(`loss_type ${show(loss)} of SFT has no counterpart here: nll and chunked_nll have.`);
  }
  const includePrompt = settings.completion_only_loss === false;
  return objectiveEntry('sft').make(includePrompt ? { includePrompt } : {});
};

/** Of DPO: they would change the loss, and nothing here does the same. */
const unsupported = ['use_weighting', 'ld_alpha', 'use_liger_kernel'] as const;

/** The objective that a trainer of TRL optimises under these settings. Throws OPTION_INVALID. */
export const objectiveFromTrl = (
  trainer: TrlTrainer,
  settings: JsonObject,
  options: TrlOptions = {},
): Objective => {
  for (const name of unsupported) {
    const value = settings[name];
    if (value === undefined || value === null || value === false) continue;
    refuse(`TRL's ${name} has no counterpart here. Leave it out.`);
  }
  switch (trainer) {
    case 'sft':
      return sftObjective(settings);
    case 'dpo':
      return dpoObjective(settings, options);
    case 'cpo':
      return cpoObjective(settings);
    case 'kto':
    case 'orpo':
    case 'reward':
      return make({ objective: trainer }, { ...defaults, ...settings });
  }
};

const numberOf = (settings: JsonObject, name: string, fallback: number): number => {
  const value = settings[name] ?? fallback;
  const number = typeof value === 'string' ? Number(value) : value; // YAML reads 1e-6 as text
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  return refuse(`${name} must be a number, got ${show(value)}.`);
};

const isScheduleType = (type: unknown): type is ScheduleType =>
  scheduleTypes.includes(type as ScheduleType);

const scheduleFromTrl = (settings: JsonObject): ScheduleOptions => {
  const type = settings.lr_scheduler_type ?? 'linear';
  if (!isScheduleType(type)) {
    return refuse(
      `lr_scheduler_type ${show(type)} is not there. Take one of ${scheduleTypes.join(', ')}.`,
    );
  }
  const extra = (settings.lr_scheduler_kwargs ?? {}) as JsonObject;
  const names = { num_cycles: 'numCycles', min_lr: 'minLearningRate' } as const;
  const kwargs = Object.entries({ ...names, min_lr_rate: 'minLearningRateRatio' }).flatMap(
    ([name, own]) => (extra[name] === undefined ? [] : [[own, numberOf(extra, name, 0)] as const]),
  );
  const warmupSteps = numberOf(settings, 'warmup_steps', 0);
  const warmupRatio = numberOf(settings, 'warmup_ratio', 0);
  return {
    type,
    ...(warmupSteps > 0 ? { warmupSteps } : {}),
    ...(warmupRatio > 0 && warmupSteps === 0 ? { warmupRatio } : {}),
    ...Object.fromEntries(kwargs),
  };
};

/** Learning rates that TRL's configs have where the settings name none. */
const learningRates: Readonly<Record<TrlTrainer, number>> = {
  sft: 2e-5,
  dpo: 1e-6,
  kto: 1e-6,
  cpo: 1e-6,
  orpo: 1e-6,
  reward: 1e-4,
};

export type TrlTrainOptions = Pick<
  TrainOptions,
  'optimizer' | 'schedule' | 'batchSize' | 'normalization' | 'referenceSync' | 'maxLength'
>;

/** How TRL's trainers step: batch, normalisation, AdamW and its schedule. */
export const trainOptionsFromTrl = (trainer: TrlTrainer, settings: JsonObject): TrlTrainOptions => {
  const microBatch = numberOf(settings, 'per_device_train_batch_size', 8);
  const maxLength = numberOf(settings, 'max_length', 1024);
  return {
    optimizer: adamW({
      learningRate: numberOf(settings, 'learning_rate', learningRates[trainer]),
      betas: [numberOf(settings, 'adam_beta1', 0.9), numberOf(settings, 'adam_beta2', 0.999)],
      epsilon: numberOf(settings, 'adam_epsilon', 1e-8),
      weightDecay: numberOf(settings, 'weight_decay', 0),
      maxGradNorm: numberOf(settings, 'max_grad_norm', 1),
    }),
    schedule: scheduleFromTrl(settings),
    batchSize: microBatch * numberOf(settings, 'gradient_accumulation_steps', 1),
    // Only SFT divides by the tokens of the whole step; the others average their micro-batches.
    normalization: trainer === 'sft' ? 'step' : { microBatch },
    ...(trainer === 'kto' ? { maxLength } : {}),
    ...(settings.sync_ref_model === true
      ? {
          referenceSync: {
            every: numberOf(settings, 'ref_model_sync_steps', 512),
            alpha: numberOf(settings, 'ref_model_mixup_alpha', 0.6),
          },
        }
      : {}),
  };
};

/** CPO's and ORPO's trainers put a BOS before every prompt; the others what the tokenizer does. */
export const encodingFromTrl = (
  trainer: TrlTrainer,
  settings: JsonObject,
  { faithful = false }: TrlOptions = {},
): EncodingOptions => {
  const maxLength = settings.max_length === null ? null : numberOf(settings, 'max_length', 1024);
  const mode = settings.truncation_mode ?? 'keep_start';
  if (mode !== 'keep_start' && mode !== 'keep_end') {
    return refuse(`truncation_mode must be keep_start or keep_end, got ${show(mode)}.`);
  }
  const contrastive = trainer === 'cpo' || trainer === 'orpo';
  return {
    maxLength: contrastive && faithful ? null : maxLength,
    truncation: trainer === 'reward' ? 'drop' : mode,
    ...(contrastive ? { bos: 'always' } : {}),
  };
};

/**
 * A pair as TRL's CPO and ORPO cut it. Where the prompt and the longer response exceed the limit,
 * both responses lose all but (limit - length of the longer one) tokens, as if that were the
 * prompt's length; of a difference below 0 it is that many tokens off the end.
 */
export const cutAsTrl = (pair: Example, settings: JsonObject): Example => {
  const limit = numberOf(settings, 'max_length', 1024);
  const longest = Math.max(...pair.responses.map(({ tokens }) => tokens.length));
  if (pair.prompt.length + longest <= limit) return pair;
  const responses = pair.responses.map((response) => ({
    ...response,
    tokens: response.tokens.subarray(0, limit - longest),
    truncated: true,
  }));
  return { ...pair, responses };
};
