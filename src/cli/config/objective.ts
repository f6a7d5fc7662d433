// Which objective a command trains, and its options. TRL's loss_type chooses among objectives that are
// entries of their own here.
import { objectiveEntry } from '../../objectives/index.js';
import type { Objective, ObjectiveEntry } from '../../objectives/objective.js';
import { describeOption } from '../../objectives/options.js';
import { type TrlLoss, trlCpoLosses, trlDpoLosses, trlGrpoLosses } from '../../objectives/trl.js';
import { weightedSum } from '../../training/weighted-sum.js';
import type { TrainingCommand } from './commands.js';
import { settingsSchema } from './keys.js';
import { type Layer, fromFlag, invalid, placeOf, snake } from './layers.js';

/** By command: TRL's loss types that are objectives of their own. */
const lossTypes: Readonly<Record<string, Readonly<Record<string, TrlLoss>>>> = {
  // TRL's default of label_smoothing is 0 for all of them.
  dpo: { ...trlDpoLosses, robust: { objective: 'robust', options: { labelSmoothing: 0 } } },
  'online-dpo': {
    sigmoid: { objective: 'dpo' },
    ipo: { objective: 'ipo', options: { reduction: 'sum' } },
  },
  cpo: trlCpoLosses,
  grpo: trlGrpoLosses,
  sft: { nll: { objective: 'sft' }, chunked_nll: { objective: 'sft' } },
  reward: { bradley_terry: { objective: 'reward' } },
  rloo: { rloo: { objective: 'rloo' } },
};

/**
 * Options of TRL's trainers that belong to another loss type than the one chosen. A dump of all
 * settings has them at these values, with which nothing is meant; other values are refused.
 */
const dormant: Readonly<Record<string, readonly unknown[]>> = {
  label_smoothing: [0],
  f_divergence_type: ['reverse_kl'],
  f_alpha_divergence_coef: [0.5],
  discopop_tau: [0.05],
  simpo_gamma: [0.5],
  cpo_alpha: [0],
  alpha: [0],
  sapo_temperature_neg: [1.05],
  sapo_temperature_pos: [1],
  vespo_k_pos: [2],
  vespo_k_neg: [3],
  vespo_lambda_pos: [3],
  vespo_lambda_neg: [2],
  mask_truncated_completions: [false],
  use_bias_correction_kl: [false],
  delta: [],
  entropy_coef_min: [0],
  entropy_coef_max: [1],
  entropy_coef_delta: [0.005],
  entropy_target: [0.2],
};

/** Keys that choose or belong to a loss type, known to every command of TRL's trainers. */
export const lossKeys: readonly string[] = ['loss_type', 'loss_weights', ...Object.keys(dormant)];

/** Settings that are at the same time options of some objectives: one value, for both. */
const shared: readonly string[] = [
  'max_completion_length',
  'num_generations',
  'missing_eos_penalty',
];

/** The key of an objective's option. */
export const optionKey = (name: string, { trl }: { readonly trl?: string }): string => {
  const key = trl ?? snake(name);
  return Object.hasOwn(settingsSchema.shape, key) && !shared.includes(key) ? `loss_${key}` : key;
};

interface Given {
  readonly value: unknown;
  readonly from: string;
}

export interface ObjectiveChoice {
  /** One, but for a list of loss types. */
  readonly entries: readonly ObjectiveEntry[];
  /** `values` by key; those that are options are checked and used. */
  make(values: ReadonlyMap<string, Given>): {
    readonly objective: Objective;
    readonly options: Readonly<Record<string, unknown>>;
  };
}

/** The last word on a key that may be a list. */
const listOf = (layers: readonly Layer[], key: string): readonly Given[] => {
  const layer = layers.findLast(({ values }) => (values[key] ?? null) !== null);
  if (!layer) return [];
  const { from } = layer;
  const value = from === 'flags' ? fromFlag('any', layer.values[key]) : layer.values[key];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((each) => ({ value: each, from }));
};

const lossOf = (command: TrainingCommand, { value, from }: Given): TrlLoss => {
  const options = Object.entries(command.entry.options);
  const own = options.find(([name, spec]) => optionKey(name, spec) === 'loss_type')?.[1];
  const known = lossTypes[command.name] ?? {};
  const name = String(value);
  const found = Object.hasOwn(known, name) ? known[name] : undefined;
  if (found) return found;
  if (own?.choices?.includes(name)) return { objective: command.entry.name };
  const names = [...new Set([...Object.keys(known), ...(own?.choices ?? [])])];
  throw invalid(
    `${placeOf('loss_type', from)} is ${JSON.stringify(value)}. ` +
      (names.length > 0
        ? `${command.name} takes ${names.join(', ')}.`
        : `${command.name} is one loss and has no types. Remove it.`),
  );
};

const weightsOf = (layers: readonly Layer[], losses: number): readonly number[] => {
  const given = listOf(layers, 'loss_weights');
  if (given.length === 0) return Array.from({ length: losses }, () => 1);
  const weights = given.map(({ value }) => value);
  if (weights.length === losses && weights.every((weight) => typeof weight === 'number')) {
    return weights;
  }
  throw invalid(
    `${placeOf('loss_weights', given[0]?.from ?? '')} is ${JSON.stringify(weights)}. It must be ` +
      `${losses} number${losses === 1 ? '' : 's'}, one for each loss_type.`,
  );
};

const checkDormant = (
  values: ReadonlyMap<string, Given>,
  used: ReadonlySet<string>,
  name: string,
) => {
  for (const [key, allowed] of Object.entries(dormant)) {
    const given = values.get(key);
    if (!given || used.has(key) || given.value === null) continue;
    if (allowed.includes(given.value)) continue;
    throw invalid(
      `${placeOf(key, given.from)} is ${JSON.stringify(given.value)}, but the loss ${name} has no ` +
        `${key}. Remove it, or choose a loss that has it.`,
    );
  }
};

/** TRL's trainers have one value for this, used with one divergence only. */
const withAlphaDivergence = (values: ReadonlyMap<string, Given>): ReadonlyMap<string, Given> => {
  const changed = new Map(values);
  if (values.get('f_divergence_type')?.value !== 'alpha_divergence') {
    if (values.get('f_alpha_divergence_coef')?.value === 0.5) {
      changed.delete('f_alpha_divergence_coef');
    }
  } else if (!values.has('f_alpha_divergence_coef')) {
    changed.set('f_alpha_divergence_coef', { value: 0.5, from: 'the defaults' });
  }
  return changed;
};

/** Its limit of samples is an option of one of GRPO's losses; its KL weight matters with a KL. */
const withGrpoRules = (values: ReadonlyMap<string, Given>, limit: number | null) => {
  const changed = new Map(values);
  if ((values.get('beta')?.value ?? 0) === 0) changed.delete('use_bias_correction_kl');
  if (values.get('loss_type')?.value === 'dr_grpo') {
    const given = values.get('max_completion_length');
    changed.set('max_completion_length', given ?? { value: limit, from: 'the defaults' });
  } else changed.delete('max_completion_length');
  return changed;
};

const adjusted = (
  { defaults }: TrainingCommand,
  entry: ObjectiveEntry,
  values: ReadonlyMap<string, Given>,
): ReadonlyMap<string, Given> => {
  if (entry.name === 'dpo') return withAlphaDivergence(values);
  if (entry.name !== 'grpo') return values;
  return withGrpoRules(values, defaults.max_completion_length ?? null);
};

interface Made {
  readonly objective: Objective;
  readonly options: Readonly<Record<string, unknown>>;
}

const makeOne = (
  { entry, loss }: { readonly entry: ObjectiveEntry; readonly loss: TrlLoss | undefined },
  values: ReadonlyMap<string, Given>,
): Made => {
  const given: Record<string, unknown> = {};
  const options: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(entry.options)) {
    const key = optionKey(name, spec);
    const found = values.get(key);
    let value = key === 'loss_type' && loss?.options?.[name] ? undefined : found?.value;
    value ??= loss?.options?.[name];
    if (Array.isArray(value) && value.length === 1) value = (value as unknown[])[0];
    options[key] = value ?? spec.default;
    if (value === undefined || value === null) continue;
    if (typeof value !== spec.type) {
      throw invalid(
        `${placeOf(key, found?.from ?? 'the defaults')} is ${JSON.stringify(value)}. ` +
          `It must be ${describeOption(spec)}.`,
      );
    }
    given[name] = value;
  }
  return { objective: entry.make(given), options };
};

/** The objective of a command under the loss types that the layers ask for. */
export const chooseObjective = (
  command: TrainingCommand,
  layers: readonly Layer[],
): ObjectiveChoice => {
  const types = listOf(layers, 'loss_type');
  const losses = types.map((type) => lossOf(command, type));
  const entries = losses.map(({ objective }) => objectiveEntry(objective));
  if (entries.length === 0) entries.push(command.entry);
  const weights = weightsOf(layers, entries.length);
  return {
    entries,
    make: (all) => {
      const values = entries.reduce((given, entry) => adjusted(command, entry, given), all);
      const parts = entries.map((entry, i) => makeOne({ entry, loss: losses[i] }, values));
      const options: Record<string, unknown> = {};
      for (const part of parts) Object.assign(options, part.options);
      if (losses.length > 0 && lossTypes[command.name]) {
        const names = types.map(({ value }) => value);
        options.loss_type = names.length === 1 ? names[0] : names;
      }
      const used = new Set(Object.keys(options));
      checkDormant(values, used, entries.map(({ name }) => name).join(' + '));
      const [first] = parts;
      if (first && parts.length === 1 && weights[0] === 1) {
        return { objective: first.objective, options };
      }
      const objective = weightedSum(
        parts.map((part) => part.objective),
        weights,
      );
      return { objective, options: { ...options, loss_weights: weights } };
    },
  };
};
