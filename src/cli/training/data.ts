// The rows of a run: files to records to examples.
import { basename } from 'node:path';
import { stat } from 'node:fs/promises';
import type { JsonObject } from '../../checkpoint/json.js';
import { toCompletions, toPrompts, toUnpaired } from '../../data/convert.js';
import type { DataCounts, Dataset } from '../../data/dataset.js';
import { type DatasetSpec, type FileSpec, openDataset } from '../../data/open.js';
import { split, subsample } from '../../data/order.js';
import { findDataFiles } from '../../data/readers/index.js';
import { AlignlabError } from '../../errors.js';
import type { Objective } from '../../objectives/objective.js';
import { type PolicyPrompt, promptOf } from '../../sources/prompts.js';
import { ComparisonEncoder } from '../../text/comparison.js';
import type { Encoder } from '../../text/encoding.js';
import type { Example, TextRecord } from '../../text/example.js';
import type { MixturePart, Settings } from '../config/keys.js';
import { invalid } from '../config/layers.js';

/** Row after row to examples; null where the encoding left one out, which it counts. */
export type Encode = (record: TextRecord) => Example | null;

export const encodeWith = (encoder: Encoder, objective: Objective, settings: Settings): Encode => {
  if (objective.name !== 'preference') return (record) => encoder.encode(record).example;
  const comparisons = new ComparisonEncoder(encoder, { maxLength: settings.max_length });
  return (record) => comparisons.encode(record).example;
};

const hasWord = (path: string, word: string): boolean =>
  basename(path)
    .split(/[^A-Za-z0-9_]+|(?=\.)/)
    .some((part) => part === word);

/** Of a folder, the files of a split, where their names tell splits apart. */
const filesOf = async (path: string, word: string, chosen: boolean): Promise<string | string[]> => {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return path;
  const files = (await findDataFiles([path])).map((file) => file.path);
  const own = files.filter((file) => hasWord(file, word));
  if (own.length > 0) return own;
  if (!chosen) return path;
  throw new AlignlabError(
    'DATA_INVALID',
    `No file in ${path} has "${word}" in its name: ${files.map((file) => basename(file)).join(', ')}. ` +
      'Name the split that is there, or the file.',
  );
};

const missing = async (path: string): Promise<AlignlabError | null> => {
  if (!/^[\w.-]+\/[\w.-]+$/.test(path)) return null;
  const found = await stat(path).catch(() => null);
  if (found) return null;
  return new AlignlabError(
    'IO_FAILED',
    `There is no file or folder ${path}. If it is a dataset on the Hugging Face hub, download it ` +
      `first: hf download ${path} --repo-type dataset --local-dir ${path.split('/')[1] ?? path}; ` +
      'then give that folder.',
  );
};

const rowOptions = ({ format, columns, on_bad_row: onBadRow, conversational }: Settings) => ({
  ...(format === 'auto' ? {} : { format: format }),
  ...(columns === null ? {} : { columns }),
  onBadRow,
  conversational,
});

/** TRL's names of builders that read files. */
const builders: readonly string[] = ['json', 'csv', 'parquet'];

const fileSpec = async (
  paths: readonly string[],
  settings: Settings,
  word: string,
  chosen: boolean,
): Promise<FileSpec> => {
  const path: string[] = [];
  for (const each of paths) {
    const error = await missing(each);
    if (error) throw error;
    path.push(...[await filesOf(each, word, chosen)].flat());
  }
  return { path, ...rowOptions(settings) };
};

const partSpec = async (part: MixturePart, settings: Settings) => {
  const { path, data_files: files, split: word, weight, fraction, columns, format } = part;
  const paths = path === undefined || builders.includes(path) ? files : path;
  if (paths === undefined) throw invalid('Each entry of datasets needs a path, or data_files.');
  const named = word !== undefined;
  const spec = await fileSpec(
    [paths].flat(),
    settings,
    word ?? settings.dataset_train_split,
    named,
  );
  const share = weight ?? fraction;
  return {
    ...spec,
    ...(columns ? { columns } : {}),
    ...(format === undefined ? {} : { format: format }),
    ...(share === undefined ? {} : { weight: share }),
  };
};

const seedOf = ({ data_seed: own, seed }: Settings): number => own ?? seed;

/** What the keys of the training data say. */
const trainSpec = async (settings: Settings): Promise<DatasetSpec> => {
  const { datasets, dataset_name: name } = settings;
  if (datasets !== null && name !== null) {
    throw invalid('Give dataset_name or datasets, not both.');
  }
  if (datasets !== null) {
    const mixture = [];
    for (const part of datasets) mixture.push(await partSpec(part, settings));
    return { mixture, seed: seedOf(settings) };
  }
  if (name === null) {
    throw invalid('There are no data. Name a file, a folder or a glob by --dataset.');
  }
  const word = settings.dataset_train_split;
  return fileSpec([name].flat(), settings, word, word !== 'train');
};

/** Records of the kind that the objective learns from. */
const converted = (dataset: Dataset, { rows, needs, options }: Objective): Dataset => {
  const { kind } = dataset;
  if (needs.mismatched) return toUnpaired(dataset);
  if (kind === 'preference' && rows.includes('pair')) return dataset;
  if (rows.includes('completion') && kind !== 'text') {
    const { targets } = options;
    return toCompletions(
      dataset,
      targets === 'rejected' || targets === 'both' ? targets : 'chosen',
    );
  }
  return dataset;
};

const wantsPairs = ({ rows }: Objective): boolean =>
  rows.includes('pair') && !rows.includes('completion');

const checkKind = (dataset: Dataset, objective: Objective): void => {
  if (!wantsPairs(objective) || dataset.kind === 'preference') return;
  throw new AlignlabError(
    'DATA_INVALID',
    `${objective.name} learns from pairs, and the rows are of the kind "${dataset.kind}". Give ` +
      'rows with prompt, chosen and rejected; columns: {chosen: NAME} maps other names.',
  );
};

export interface RunData {
  readonly train: Dataset;
  readonly test: Dataset | null;
}

const testSet = async (settings: Settings): Promise<Dataset | null> => {
  const { eval_dataset: own, eval_strategy: strategy, dataset_name: name } = settings;
  if (own !== null) {
    return openDataset(await fileSpec([own], settings, settings.dataset_test_split, false));
  }
  if (strategy === 'no') return null;
  const folder = typeof name === 'string' ? name : null;
  const files = folder === null ? '' : await filesOf(folder, settings.dataset_test_split, false);
  if (folder !== null && files !== folder) {
    return openDataset({ path: files, ...rowOptions(settings) });
  }
  throw invalid(
    `eval_strategy is ${strategy}, but there are no held-out rows. Give --eval-dataset FILE, or ` +
      '--test-split-size 0.05 to hold some out.',
  );
};

const needsTest = ({ eval_strategy: strategy, eval_on_start: start }: Settings): boolean =>
  strategy !== 'no' || start;

/** Opens what trains and what is held out. Throws DATA_INVALID, IO_FAILED or OPTION_INVALID. */
export const openData = async (settings: Settings): Promise<RunData> => {
  let train = await openDataset(await trainSpec(settings));
  let test: Dataset | null = null;
  const { test_split_size: held, max_train_samples: most } = settings;
  const seed = seedOf(settings);
  if (held !== null && settings.eval_dataset === null) {
    ({ train, test } = await split(train, { test: held, seed }));
  } else if (needsTest(settings) || settings.eval_dataset !== null) test = await testSet(settings);
  if (most !== null) train = await subsample(train, { share: most, seed });
  return { train, test };
};

/** As the objective takes them. */
export const forObjective = (dataset: Dataset, objective: Objective): Dataset => {
  const own = converted(dataset, objective);
  checkKind(own, objective);
  return own;
};

export interface Loaded<T> {
  readonly items: readonly T[];
  /** Records that the encoding left out. */
  readonly dropped: number;
  readonly counts: DataCounts;
  readonly description: JsonObject;
}

const noneLeft = (dropped: number): AlignlabError =>
  new AlignlabError(
    'DATA_INVALID',
    `None of the ${dropped} records is left after encoding: they are too long, or empty. Raise ` +
      'max_length, lower max_completion_length, or choose another truncation_mode; --dry-run shows ' +
      'the lengths.',
  );

const load = async <T>(
  dataset: Dataset,
  convert: (record: TextRecord) => T | null,
): Promise<Loaded<T>> => {
  const items: T[] = [];
  let dropped = 0;
  for await (const record of dataset) {
    const item = convert(record);
    if (item === null) dropped += 1;
    else items.push(item);
  }
  if (items.length === 0) throw noneLeft(dropped);
  return { items, dropped, counts: dataset.counts(), description: dataset.describe() };
};

export const loadExamples = (dataset: Dataset, encode: Encode): Promise<Loaded<Example>> =>
  load(dataset, encode);

/** Each prompt once. */
export const loadPrompts = (dataset: Dataset, encoder: Encoder): Promise<Loaded<PolicyPrompt>> =>
  load(toPrompts(dataset, { unique: true }), (record) => promptOf(record, encoder));

/** Examples as they are read, for files that are larger than memory. */
export const streamExamples = (dataset: Dataset, encode: Encode) =>
  async function* (): AsyncGenerator<Example, void> {
    for await (const record of dataset) {
      const example = encode(record);
      if (example) yield example;
    }
  };
