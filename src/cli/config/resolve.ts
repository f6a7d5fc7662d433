// One resolved configuration out of defaults, a YAML file and flags. Every key acts or raises: what is
// unknown, out of range, or without effect in the command is an error that names it.
import { z } from 'zod';
import type { Objective, ObjectiveEntry } from '../../objectives/objective.js';
import { didYouMean } from '../../suggest.js';
import { type TrainingCommand, drawsPairs } from './commands.js';
import { foreignNames, treatForeign } from './foreign.js';
import { idleReason } from './idle.js';
import { type KeyInfo, type KeyKind, keyInfo } from './key.js';
import { type SettingName, type Settings, aliases, settingNames, settingsSchema } from './keys.js';
import { type Layer, fromFlag, fromYaml, invalid, placeOf } from './layers.js';
import { type ObjectiveChoice, chooseObjective, lossKeys, optionKey } from './objective.js';

export interface Note {
  readonly key: string;
  readonly reason: string;
}

export interface ResolvedConfig {
  readonly command: TrainingCommand;
  readonly entries: readonly ObjectiveEntry[];
  readonly objective: Objective;
  readonly settings: Settings;
  /** Options of the objective under the keys of the configuration. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Keys that were passed by, each with the reason. */
  readonly notes: readonly Note[];
}

interface Given {
  readonly value: unknown;
  readonly from: string;
}
type Values = Map<string, Given>;

export const infoOf = (name: SettingName): KeyInfo => keyInfo.get(settingsSchema.shape[name])!;

/** The values of a key that takes one of a few. */
export const choicesOf = (name: SettingName): readonly string[] | undefined => {
  const schema: unknown = settingsSchema.shape[name];
  return schema instanceof z.ZodEnum ? schema.options.map(String) : undefined;
};

export const defaultsOf = (command: TrainingCommand): Settings => ({
  ...(Object.fromEntries(settingNames.map((name) => [name, infoOf(name).default])) as Settings),
  ...command.defaults,
});

const optionKinds = { number: 'number', boolean: 'boolean', string: 'text' } as const;

/** How to read a key's value; undefined for a key that nobody knows. */
const kindOf = (key: string, entries: readonly ObjectiveEntry[]): KeyKind | undefined => {
  if (Object.hasOwn(settingsSchema.shape, key)) return infoOf(key as SettingName).kind;
  for (const { options } of entries) {
    const found = Object.entries(options).find(([name, spec]) => optionKey(name, spec) === key);
    if (found) return optionKinds[found[1].type];
  }
  return lossKeys.includes(key) || foreignNames.includes(key) ? 'any' : undefined;
};

/** null lifts a limit, where there can be none; elsewhere it means: as by default. */
const takesNull = (key: string): boolean =>
  Object.hasOwn(settingsSchema.shape, key) &&
  settingsSchema.shape[key as SettingName].safeParse(null).success;

const unknownKey = (key: string, from: string, entry: ObjectiveEntry): Error => {
  const own = Object.entries(entry.options).map(([name, spec]) => optionKey(name, spec));
  const known = [...settingNames, ...own, ...Object.keys(aliases)];
  const near = didYouMean(key, known);
  const place = from === 'flags' ? `the flag ${placeOf(key, from)}` : `the key ${key} in ${from}`;
  return invalid(
    `${entry.name} does not know ${place}.` +
      (near || ` alignlab ${entry.name} --help lists what there is.`),
  );
};

/** One layer's keys under their own names, typed; what TRL knows and we do not is translated. */
const readLayer = (
  layer: Layer,
  command: TrainingCommand,
  entries: readonly ObjectiveEntry[],
  notes: Note[],
): Values => {
  const values: Values = new Map();
  const { from } = layer;
  const online = command.source !== 'dataset';
  const read = from === 'flags' ? fromFlag : fromYaml;
  const put = (key: string, value: unknown): void => {
    const before = values.get(key);
    if (before && JSON.stringify(before.value) !== JSON.stringify(value)) {
      throw invalid(`${placeOf(key, from)} is given twice, with different values. Keep one.`);
    }
    values.set(key, { value, from });
  };
  const translated: Record<string, unknown> = {};
  for (const [given, raw] of Object.entries(layer.values)) {
    const key = Object.hasOwn(aliases, given) ? (aliases[given] ?? given) : given;
    const kind = kindOf(key, entries);
    if (kind === undefined) throw unknownKey(key, from, command.entry);
    const typed = read(kind, raw);
    const value = typed === 'null' && takesNull(key) ? null : typed;
    if (kind !== 'any' || !foreignNames.includes(key)) {
      if (value !== null || takesNull(key)) put(key, value);
      continue;
    }
    const treated = treatForeign(key, value, { beside: layer.values, online });
    if (!treated) continue;
    if ('refuse' in treated) {
      throw invalid(
        `${placeOf(key, from)} is ${JSON.stringify(value)}, which alignlab cannot do: ` +
          `${treated.refuse}.`,
      );
    }
    if ('note' in treated) notes.push({ key, reason: treated.note });
    else Object.assign(translated, treated.set);
  }
  for (const [key, value] of Object.entries(translated)) {
    if (kindOf(key, entries) !== undefined) values.set(key, { value, from });
  }
  return values;
};

const describeIssue = (issue: z.core.$ZodIssue): string =>
  issue.code === 'invalid_value'
    ? `It must be one of ${issue.values.map(String).join(', ')}`
    : issue.message.replace('Invalid input: expected', 'It must be').replace('Too', 'It is too');

const parseSettings = (values: Values, command: TrainingCommand): Settings => {
  const settings: Record<string, unknown> = { ...defaultsOf(command) };
  for (const name of settingNames) {
    const given = values.get(name);
    if (given) settings[name] = given.value;
  }
  const { data, error } = settingsSchema.safeParse(settings);
  if (data) return data;
  const [issue] = error.issues;
  const key = String(issue?.path[0] ?? '');
  const given = values.get(key);
  const inner = issue && issue.path.length > 1 ? ` (at ${issue.path.slice(1).join('.')})` : '';
  throw invalid(
    `${placeOf(key, given?.from ?? 'the defaults')} is ${JSON.stringify(given?.value)}${inner}. ` +
      `${issue ? describeIssue(issue) : ''}.`,
  );
};

/** Services that TRL reports to and that have no client here: nothing of the result depends on them. */
const services: readonly string[] = [
  ...['wandb', 'mlflow', 'trackio', 'swanlab', 'comet_ml', 'clearml', 'neptune', 'codecarbon'],
  ...['azure_ml', 'dagshub', 'dvclive', 'flyte'],
];

const withoutServices = (settings: Settings, notes: Note[]): Settings => {
  const asked = [settings.report_to].flat();
  const kept = asked.filter((name) => !services.includes(name));
  if (kept.length === asked.length) return settings;
  const gone = asked.filter((name) => services.includes(name)).join(', ');
  const reason = `${gone} has no client here; tensorboard/ and metrics.jsonl have every number`;
  notes.push({ key: 'report_to', reason });
  return { ...settings, report_to: kept.length > 0 ? kept : 'tensorboard' };
};

/** Scopes that have nothing to act on in a command, each with the reason. */
export const missingScopes = ({
  command: { name, source },
  objective: { needs },
}: Pick<ResolvedConfig, 'command' | 'objective'>): Partial<Record<KeyInfo['scope'], string>> => ({
  ...(needs.reference || needs.exactKl ? {} : { reference: `${name} uses no reference` }),
  ...(source === 'dataset' ? { samples: `${name} draws no samples, it trains on a dataset` } : {}),
  ...(drawsPairs(name) ? {} : { pairs: `${name} has no pairs that a judge labels` }),
  ...(name === 'nash-md' ? {} : { mixture: `${name} has no such opponent` }),
  ...(source === 'hybrid' ? {} : { hybrid: `${name} takes no pairs beside its samples` }),
  ...(needs.values ? {} : { critic: `${name} has no critic` }),
});

/** A key that has nothing to act on raises, unless it says what holds anyway. */
const checkScope = (values: Values, config: Omit<ResolvedConfig, 'notes'>, notes: Note[]): void => {
  const { command, settings } = config;
  const missing = missingScopes(config);
  const defaults = defaultsOf(command);
  for (const name of settingNames) {
    const given = values.get(name);
    if (!given || JSON.stringify(settings[name]) === JSON.stringify(defaults[name])) continue;
    const idle = idleReason(name, settings);
    const reason = missing[infoOf(name).scope] ?? idle?.reason;
    if (reason === undefined) continue;
    if (idle?.harmless && missing[infoOf(name).scope] === undefined) {
      notes.push({ key: name, reason });
      continue;
    }
    throw invalid(`${placeOf(name, given.from)} has no effect here: ${reason}. Remove it.`);
  }
};

/**
 * Later layers win. Throws OPTION_INVALID for a key that is unknown (with the nearest known one), a
 * value out of type or range, a setting that is not possible here, and a key without effect.
 */
export const resolveConfig = (
  command: TrainingCommand,
  layers: readonly Layer[],
): ResolvedConfig => {
  const notes: Note[] = [];
  // The loss type may choose another objective, whose options are then the ones that are known.
  const choice: ObjectiveChoice = chooseObjective(command, layers);
  const entries = [...choice.entries, command.entry];
  const values: Values = new Map();
  for (const layer of layers) {
    for (const [key, given] of readLayer(layer, command, entries, notes)) values.set(key, given);
  }
  const settings = withoutServices(parseSettings(values, command), notes);
  const { objective, options } = choice.make(values);
  const config = { command, entries: choice.entries, objective, settings, options };
  checkScope(values, config, notes);
  return { ...config, notes };
};
