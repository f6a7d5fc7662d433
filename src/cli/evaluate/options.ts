// Flags that eval and compare have in common, and what they open.
import { type Command, Option } from 'commander';
import { parse } from 'yaml';
import type { JsonObject } from '../../checkpoint/json.js';
import { readCheckpoint } from '../../checkpoint/checkpoint.js';
import { setThreads } from '../../engine/device.js';
import { LanguageModel } from '../../engine/model.js';
import { AlignlabError } from '../../errors.js';
import type { Judge } from '../../judges/judge.js';
import type { PolicyPrompt } from '../../sources/prompts.js';
import type { Encoder } from '../../text/encoding.js';
import type { Example } from '../../text/example.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { type SettingName, type Settings, settingNames, settingsSchema } from '../config/keys.js';
import { invalid } from '../config/layers.js';
import { infoOf } from '../config/resolve.js';
import { openJudge } from '../judge.js';
import { dtypeOf, modelFolder } from '../models.js';
import { number } from '../output.js';
import { loadExamples, loadPrompts, openData } from '../training/data.js';
import { openEncoder } from '../training/text.js';

export const metricNames = [
  'kl',
  'win-rate',
  'score',
  'accuracy',
  'perplexity',
  'best-of-n',
] as const;
export type MetricName = (typeof metricNames)[number];

export interface EvaluationFlags {
  readonly reference?: string;
  readonly opponent?: string;
  readonly dataset: string;
  readonly split: string;
  readonly format?: string;
  readonly columns?: string;
  readonly onBadRow: string;
  readonly chatTemplate?: string;
  readonly judge?: string;
  readonly judgeOptions?: string;
  readonly proxyJudge?: string;
  readonly metrics?: string;
  readonly bestOfN: string;
  readonly samples: number;
  readonly maxPrompts: number;
  readonly maxCompletionLength: number;
  readonly maxLength?: number;
  readonly temperature: number;
  readonly seed: number;
  readonly dtype: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export const addEvaluationOptions = (command: Command): Command => {
  const options = [
    new Option('--dataset <file>', 'file, folder or glob of prompts, pairs or texts'),
    new Option('--split <name>', 'of a folder: the files with this word in the name').default(
      'test',
    ),
    new Option('--format <name>', 'what a row is; default: by its keys'),
    new Option('--columns <yaml>', '{prompt: question, chosen: good}'),
    new Option('--on-bad-row <what>', 'error or skip').choices(['error', 'skip']).default('error'),
    new Option('--reference <folder>', 'for KL and accuracy; the start policy of the training'),
    new Option('--opponent <folder>', 'for the win rate; default: the reference'),
    new Option(
      '--judge <judge>',
      'rule:NAME, reward-model:FOLDER, preference-model:FOLDER, endpoint:URL',
    ),
    new Option('--judge-options <yaml>', 'parameters of the judge'),
    new Option('--proxy-judge <judge>', 'picks the best of n; default: the judge'),
    new Option('--metrics <names>', `of ${metricNames.join(', ')}; default: what the inputs allow`),
    new Option('--best-of-n <ns>', 'sizes, separated by commas').default('1,2,4,8'),
    new Option('--samples <n>', 'of each prompt, for KL and score').default(1).argParser(number),
    new Option('--max-prompts <n>', 'rows to use at most, the first ones')
      .default(256)
      .argParser(number),
    new Option('--max-completion-length <n>', 'tokens of a sample').default(64).argParser(number),
    new Option('--max-length <n>', 'tokens of prompt and response').argParser(number),
    new Option('--temperature <t>', 'of samples that are judged; KL is at 1')
      .default(1)
      .argParser(number),
    new Option('--chat-template <file>', "Jinja file; default: the tokenizer's own"),
    new Option('--seed <n>', 'same seed, same numbers').default(0).argParser(number),
    new Option('--dtype <dtype>', 'auto, f32 or bf16').default('auto'),
    new Option('--threads <n>', 'of the engine').argParser(number),
    new Option('--json', 'one JSON object instead of a table'),
  ];
  for (const option of options) command.addOption(option);
  return command;
};

const yamlOf = (flag: string, text: string | undefined): JsonObject | null => {
  if (text === undefined) return null;
  try {
    const value: unknown = parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as JsonObject;
    }
  } catch {
    // refused below
  }
  throw invalid(`${flag} must be YAML such as {target: 20}, got ${text}.`);
};

/** The settings of text and data, as the training commands have them. */
const settingsOf = (flags: EvaluationFlags): Settings => {
  const defaults = Object.fromEntries(settingNames.map((name) => [name, infoOf(name).default]));
  const given: Partial<Record<SettingName, unknown>> = {
    dataset_name: flags.dataset,
    dataset_train_split: flags.split,
    format: flags.format ?? 'auto',
    columns: yamlOf('--columns', flags.columns),
    on_bad_row: flags.onBadRow,
    chat_template_path: flags.chatTemplate ?? null,
    max_length: flags.maxLength ?? null,
    seed: flags.seed,
  };
  const { data, error } = settingsSchema.safeParse({ ...defaults, ...given });
  if (data) return data;
  const [issue] = error.issues;
  throw invalid(`${String(issue?.path[0])}: ${issue?.message ?? 'not right'}.`);
};

/** Of one policy: everything that is measured with. */
export interface Bench {
  readonly flags: EvaluationFlags;
  readonly encoder: Encoder;
  readonly prompts: readonly PolicyPrompt[];
  /** Rows with responses; null for prompts alone. */
  readonly examples: readonly Example[] | null;
  readonly judge: Judge<'golden'> | null;
  readonly proxy: Judge<'golden'> | null;
  readonly reference: LanguageModel | null;
  readonly opponent: LanguageModel | null;
  dispose(): Promise<void>;
}

export const loadFrozen = async (name: string, flags: EvaluationFlags): Promise<LanguageModel> => {
  const dtype = dtypeOf(flags.dtype);
  const folder = await modelFolder(name);
  return LanguageModel.load(folder, { trainable: false, ...(dtype ? { dtype } : {}) });
};

const sameTokenizer = async (encoder: Encoder, name: string): Promise<void> => {
  const { hash } = await Tokenizer.load(await modelFolder(name));
  if (hash === encoder.tokenizer.hash) return;
  throw new AlignlabError(
    'TOKENIZER_INVALID',
    `${name} has another tokenizer than the policy, so they cannot be compared token by token. ` +
      'Compare policies of one tokenizer.',
  );
};

const wholeFrom = (flag: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw invalid(`${flag} must be a whole number from 1 up, got ${value}.`);
};

const rowsOf = async (settings: Settings, flags: EvaluationFlags, encoders: readonly Encoder[]) => {
  const [encoder, promptEncoder] = encoders as [Encoder, Encoder];
  const most = wholeFrom('--max-prompts', flags.maxPrompts);
  const { train } = await openData(settings);
  const encode = (record: Parameters<Encoder['encode']>[0]) => encoder.encode(record).example;
  const examples =
    train.kind === 'prompt' ? null : (await loadExamples(train, encode)).items.slice(0, most);
  // Only samples need them, and only these are drawn for a reference or a judge.
  const draws = train.kind !== 'text' && (flags.reference ?? flags.judge) !== undefined;
  const prompts = draws ? (await loadPrompts(train, promptEncoder)).items.slice(0, most) : [];
  return { examples, prompts };
};

/** Opens rows, judges and the models to compare with. `policy` names the tokenizer. */
export const openBench = async (policy: string, flags: EvaluationFlags): Promise<Bench> => {
  if (flags.dataset === undefined) throw invalid('There are no rows. Name a file by --dataset.');
  if (flags.threads !== undefined) await setThreads(flags.threads);
  const settings = settingsOf(flags);
  const folder = await modelFolder(policy);
  const positions = (await readCheckpoint(folder)).shape.maxPosition;
  const limit = wholeFrom('--max-completion-length', flags.maxCompletionLength);
  const encoder = await openEncoder(folder, settings, positions);
  const sampling = { ...settings, max_completion_length: limit };
  const promptEncoder = await openEncoder(folder, sampling, positions);
  const rows = await rowsOf(settings, flags, [encoder, promptEncoder]);
  const owned: { dispose?(): Promise<void> }[] = [];
  const keep = async <T extends { dispose?(): Promise<void> }>(thing: Promise<T>): Promise<T> => {
    const made = await thing;
    owned.push(made);
    return made;
  };
  const dispose = async (): Promise<void> => {
    for (const thing of owned) await thing.dispose?.();
  };
  try {
    const options = yamlOf('--judge-options', flags.judgeOptions);
    const context = { encoder, role: 'golden' } as const;
    const judge = flags.judge ? await keep(openJudge(flags.judge, { ...context, options })) : null;
    const proxy = flags.proxyJudge ? await keep(openJudge(flags.proxyJudge, context)) : judge;
    const model = async (name: string | undefined): Promise<LanguageModel | null> => {
      if (name === undefined) return null;
      await sameTokenizer(encoder, name);
      return keep(loadFrozen(name, flags));
    };
    const reference = await model(flags.reference);
    const opponent = flags.opponent === undefined ? reference : await model(flags.opponent);
    return { flags, encoder, ...rows, judge, proxy, reference, opponent, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
};
