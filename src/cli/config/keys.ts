// Every key of a training run except the objective's own options. Names are TRL's where TRL has one;
// in YAML as here, as flags in kebab-case. null means: not set.
import { z } from 'zod';
import { formatNames } from '../../data/formats/index.js';
import { fraction, keysOf, positive, whole, words } from './key.js';
import { optimisationKeys, runKeys, sampleKeys } from './keys-of-training.js';

const model = keysOf('Model');
const data = keysOf('Data');
const text = keysOf('Text to tokens');
const reference = keysOf('Reference');

const modelKeys = {
  model_name_or_path: model.text(
    words.nullable(),
    'folder of a Hugging Face checkpoint; also --model',
    { default: null },
  ),
  ref_model: model.text(words.nullable(), 'folder of the reference; unset: the start policy', {
    default: null,
    scope: 'reference',
  }),
  dtype: model.text(
    z.enum(['auto', 'float32', 'f32', 'bfloat16', 'bf16']),
    'of weights in products; master weights are always float32; auto: as the checkpoint',
    { default: 'auto' },
  ),
  device: model.text(
    z.union([z.enum(['auto', 'cpu', 'cuda']), z.templateLiteral(['cuda:', z.int().min(0)])]),
    'where it runs: cpu, cuda, cuda:N; auto: as ALIGNLAB_DEVICE says, else cpu',
    { default: 'auto' },
  ),
  exact: model.flag(
    'sampler, scorer and trainer give the same bits; false: a GPU may be faster without',
    { default: true },
  ),
  threads: model.number(whole(1).nullable(), 'of the engine; results do not depend on it', {
    default: null,
  }),
  gradient_checkpointing: model.flag('run each block again in backward: less memory, slower'),
};

const mixturePart = z.strictObject({
  path: words.optional(),
  data_files: z.union([words, z.array(words)]).optional(),
  split: words.optional(),
  weight: positive.optional(),
  fraction: positive.optional(),
  columns: z.record(z.string(), z.string()).optional(),
  format: words.optional(),
});
export type MixturePart = z.output<typeof mixturePart>;

const dataKeys = {
  dataset_name: data.text(
    z.union([words, z.array(words).min(1)]).nullable(),
    'file, folder or glob (JSONL, JSON, CSV, Parquet, .gz); also --dataset',
    { default: null },
  ),
  datasets: data.any(
    z.array(mixturePart).min(1).nullable(),
    'mixture: [{path, split, weight, columns, format}, ...]',
    { default: null },
  ),
  dataset_train_split: data.text(words, 'of a folder: the files with this word in the name', {
    default: 'train',
  }),
  dataset_test_split: data.text(words, 'the same, for evaluation', { default: 'test' }),
  eval_dataset: data.text(words.nullable(), 'file, folder or glob of held-out rows', {
    default: null,
  }),
  test_split_size: data.number(positive.nullable(), 'held out: a share below 1, or rows', {
    default: null,
  }),
  max_train_samples: data.number(whole(1).nullable(), 'train on a random subset of so many rows', {
    default: null,
  }),
  format: data.text(
    z.enum(['auto', ...formatNames]),
    `what a row is; auto looks at the keys. ${formatNames.join(', ')}`,
    { default: 'auto' },
  ),
  columns: data.any(
    z.record(z.string(), z.string()).nullable(),
    'our name to the name in the file: {prompt: question, chosen: good}',
    { default: null },
  ),
  conversational: data.flag('plain prompts and responses become turns, for the chat template'),
  on_bad_row: data.text(z.enum(['error', 'skip']), 'skip counts what it leaves out', {
    default: 'error',
  }),
  dataset_streaming: data.flag("read the files as needed, not into memory; order is the files'"),
  train_sampling_strategy: data.text(
    z.enum(['random', 'sequential']),
    'a new order each epoch, or the order of the files',
    { default: 'random' },
  ),
  data_seed: data.number(z.int().nullable(), 'of the order and the split; unset: seed', {
    default: null,
  }),
};

const textKeys = {
  tokenizer_name_or_path: text.text(words.nullable(), "folder; unset: the model's", {
    default: null,
  }),
  chat_template_path: text.text(words.nullable(), "Jinja file; unset: the tokenizer's own", {
    default: null,
  }),
  max_length: text.number(whole(1).nullable(), 'tokens of prompt and response together', {
    default: 1024,
  }),
  max_prompt_length: text.number(whole(1).nullable(), 'tokens of the prompt', { default: null }),
  truncation_mode: text.text(
    z.enum(['keep_start', 'keep_end', 'drop', 'error']),
    'what happens to a row that is longer; what is cut or dropped is counted',
    { default: 'keep_start' },
  ),
  max_completion_length: text.number(whole(1).nullable(), 'tokens of a response, drawn or given', {
    default: null,
  }),
  bos: text.text(
    z.enum(['tokenizer', 'always', 'never']),
    'begin-of-sequence token; tokenizer: as tokenizer.json says, in dialogues the template',
    { default: 'tokenizer' },
  ),
  eos: text.text(z.enum(['append', 'never']), 'end-of-text after a response in plain text', {
    default: 'append',
  }),
  boundary: text.text(
    z.enum(['split', 'suffix', 'error']),
    'tokens across the end of the prompt: split them, cut as TRL does, or refuse the row',
    { default: 'split' },
  ),
  empty_completion: text.text(
    z.enum(['drop', 'error', 'keep']),
    'rows with a response without text; drop counts them',
    { default: 'drop' },
  ),
  template_fallback: text.text(
    z.enum(['error', 'last-turn']),
    "where a template's prompt is not how its dialogue starts",
    { default: 'error' },
  ),
  chat_template_kwargs: text.any(
    z.record(z.string(), z.json()).nullable(),
    'variables of the template: {enable_thinking: false}',
    { default: null },
  ),
};

const referenceKeys = {
  precompute_ref_log_probs: reference.flag('score the data once, and keep that by content hash', {
    default: false,
    scope: 'reference',
  }),
  sync_ref_model: reference.flag('move the reference towards the policy', {
    default: false,
    scope: 'reference',
  }),
  ref_model_mixup_alpha: reference.number(fraction, 'ref = (1 - alpha) ref + alpha policy', {
    default: 0.6,
    scope: 'reference',
  }),
  ref_model_sync_steps: reference.number(whole(1), 'steps between two moves', {
    default: 512,
    scope: 'reference',
  }),
};

/** The resolved configuration: what config.yaml of a run folder holds, less the objective. */
export const settingsSchema = z.strictObject({
  ...modelKeys,
  ...dataKeys,
  ...textKeys,
  ...referenceKeys,
  ...optimisationKeys,
  ...sampleKeys,
  ...runKeys,
});
export type Settings = z.output<typeof settingsSchema>;
export type SettingName = keyof Settings;

export const settingNames = Object.keys(settingsSchema.shape) as SettingName[];

/** Other names of the same key; TRL's own history and short forms. */
export const aliases: Readonly<Record<string, SettingName>> = {
  model: 'model_name_or_path',
  dataset: 'dataset_name',
  output: 'output_dir',
  name: 'run_name',
  num_ppo_epochs: 'num_iterations',
  max_new_tokens: 'max_completion_length',
  response_length: 'max_completion_length',
  evaluation_strategy: 'eval_strategy',
  torch_dtype: 'dtype',
  streaming: 'dataset_streaming',
};
