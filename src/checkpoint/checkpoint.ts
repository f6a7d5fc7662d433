// A Hugging Face folder, read and checked: what the model is and where each weight lies. No weight
// is loaded here.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AlignlabError, fromSystem } from '../errors.js';
import { ConfigReader } from './config-reader.js';
import { type ModelDescription, describeModel } from './config.js';
import { openTensors } from './index-file.js';
import { type JsonFile, type JsonObject, readJsonFile } from './json.js';
import { type LocatedTensor, matchTensors } from './match.js';
import type { WeightDtype } from './safetensors.js';

export interface GenerationIds {
  /** Every token that ends a sequence, without those that the vocabulary does not have. */
  readonly eos: readonly number[];
  readonly bos: number | null;
}

export interface Checkpoint extends ModelDescription {
  /** Absolute. */
  readonly folder: string;
  readonly tensors: readonly LocatedTensor[];
  /** The dtype of most of the weights. */
  readonly dtype: WeightDtype;
  readonly parameters: number;
  readonly generation: GenerationIds;
  /** The files as they stood, for saving. */
  readonly texts: { readonly config: string; readonly generation: string | null };
  /** Names of the tokenizer's files in the folder, to be copied when saving. */
  readonly tokenizerFiles: readonly string[];
}

const tokenizerFiles = [
  /^tokenizer[\w.-]*\.(json|model)$/,
  /^(special_tokens_map|added_tokens)\.json$/,
  /^(vocab\.(json|txt)|merges\.txt|spiece\.model)$/,
  /^chat_template\.(jinja|json)$/,
];

/** Files that belong to the tokenizer of a Hugging Face folder. */
export const isTokenizerFile = (name: string): boolean =>
  tokenizerFiles.some((pattern) => pattern.test(name));

/** A token id, a list of them, or nothing; ids beyond the vocabulary can never be produced. */
const readIds = (config: ConfigReader, key: string, vocab: number): number[] => {
  const value = config.get(key) ?? [];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  if (ids.every((id): id is number => Number.isSafeInteger(id))) {
    return ids.filter((id) => id >= 0 && id < vocab);
  }
  throw config.invalid(key, 'a token id or a list of token ids');
};

/** generation_config.json decides where it has the key, config.json else. */
const readGenerationIds = (
  config: JsonObject,
  generation: JsonObject | null,
  vocab: number,
  folder: string,
): GenerationIds => {
  const readers = [
    new ConfigReader(generation ?? {}, join(folder, 'generation_config.json')),
    new ConfigReader(config, join(folder, 'config.json')),
  ];
  const idsOf = (key: string): number[] => {
    const reader = readers.find((candidate) => !candidate.lacks(key));
    return reader ? readIds(reader, key, vocab) : [];
  };
  return { eos: idsOf('eos_token_id'), bos: idsOf('bos_token_id')[0] ?? null };
};

const mainDtype = (tensors: readonly LocatedTensor[]): WeightDtype => {
  const bytes = { F32: 0, BF16: 0, F16: 0 };
  for (const { dtype, begin, end } of tensors) bytes[dtype] += end - begin;
  if (bytes.F32 >= bytes.BF16 && bytes.F32 >= bytes.F16) return 'F32';
  return bytes.BF16 >= bytes.F16 ? 'BF16' : 'F16';
};

/** Where saving keeps a folder for the moment in which it is replaced (see save.ts). */
export const previousFolder = (folder: string): string =>
  join(dirname(folder), `.${basename(folder)}.previous`);

const readConfig = async (folder: string): Promise<JsonFile> => {
  const info = await stat(folder).catch(async (cause: unknown) => {
    const previous = previousFolder(folder);
    const cut = await stat(previous).then(
      () => true,
      () => false,
    );
    if (!cut) throw fromSystem(cause, `open checkpoint ${folder}`, 'CHECKPOINT_NOT_FOUND');
    throw new AlignlabError(
      'CHECKPOINT_NOT_FOUND',
      `${folder} does not exist: a process was killed while it replaced it. ` +
        `The last good checkpoint is ${previous}; rename it.`,
      { cause },
    );
  });
  if (!info.isDirectory()) {
    throw new AlignlabError(
      'CHECKPOINT_NOT_FOUND',
      `${folder} is not a folder. Give the folder that holds config.json and model.safetensors.`,
    );
  }
  const config = await readJsonFile(join(folder, 'config.json'), 'CONFIG_INVALID');
  if (config) return config;
  throw new AlignlabError(
    'CHECKPOINT_NOT_FOUND',
    `${folder} has no config.json. Give the folder of a Hugging Face checkpoint.`,
  );
};

export const readCheckpoint = async (path: string): Promise<Checkpoint> => {
  const folder = resolve(path);
  const config = await readConfig(folder);
  const generation = await readJsonFile(join(folder, 'generation_config.json'), 'CONFIG_INVALID');
  const model = describeModel(config.value, join(folder, 'config.json'));
  const ids = readGenerationIds(config.value, generation?.value ?? null, model.shape.vocab, folder);
  const tensors = await matchTensors(model, await openTensors(folder));
  const names = await readdir(folder).catch((cause: unknown) => {
    throw fromSystem(cause, `list ${folder}`);
  });
  return {
    ...model,
    folder,
    tensors,
    dtype: mainDtype(tensors),
    parameters: model.slots.reduce((sum, { rows, cols }) => sum + rows * cols, 0),
    generation: ids,
    texts: { config: config.text, generation: generation?.text ?? null },
    tokenizerFiles: names.filter(isTokenizerFile).sort(),
  };
};
