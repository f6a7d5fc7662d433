// Opens datasets from files, as a specification says that may come from a program, flags or YAML.
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { didYouMean } from '../suggest.js';
import { fileHash } from './content-hash.js';
import { type Dataset, RowDataset } from './dataset.js';
import { formatNames } from './formats/index.js';
import { mixture } from './mixture.js';
import { slice, subsample } from './order.js';
import { type DataFile, fileTypes, findDataFiles, readerOf } from './readers/index.js';
import type { Row } from './row.js';

const fileSpec = z.strictObject({
  /** A file, a folder (all data files below it), a glob, or a list of these. */
  path: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  /** Where the names do not tell it. */
  fileType: z.enum(fileTypes).optional(),
  format: z.enum(formatNames).optional(),
  /** Key that the format knows → column of the file. */
  columns: z.record(z.string(), z.string()).optional(),
  conversational: z.boolean().optional(),
  onBadRow: z.enum(['error', 'skip']).optional(),
  /** The longest line or record; 64 MiB. */
  maxRowBytes: z.int().min(1).optional(),
  skip: z.int().min(0).optional(),
  limit: z.int().min(1).optional(),
  /** A fraction, or a number of rows, drawn at random with the seed, after skip and limit. */
  subsample: z.number().positive().optional(),
  seed: z.int().optional(),
});

const partSpec = fileSpec.extend({ weight: z.number().positive().optional() });

const mixtureSpec = z.strictObject({
  mixture: z.array(partSpec).min(1),
  seed: z.int().optional(),
  until: z.enum(['all', 'first']).optional(),
});

export type FileSpec = z.input<typeof fileSpec>;
export type MixtureSpec = z.input<typeof mixtureSpec>;
/** A string is a path. */
export type DatasetSpec = string | FileSpec | MixtureSpec;

const checked = <T extends z.ZodObject>(schema: T, spec: unknown): z.output<T> => {
  const result = schema.safeParse(spec);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = ['data', ...(issue?.path ?? [])].map(String).join('.');
  if (issue?.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const known = Object.keys(where.includes('mixture.') ? partSpec.shape : schema.shape);
    throw new AlignlabError(
      'OPTION_INVALID',
      `${where} has no option "${key}".${didYouMean(key, known)} Known are: ${known.join(', ')}.`,
    );
  }
  throw new AlignlabError(
    'OPTION_INVALID',
    `The option ${where} is not right: ${issue?.message ?? 'unknown'}. Correct it.`,
  );
};

const defaultRowBytes = 64 * 2 ** 20;

const describeFile = async ({ path, type }: DataFile): Promise<JsonObject> => ({
  path,
  type,
  bytes: (await stat(path)).size,
  sha256: await fileHash(path),
});

const openFiles = async (spec: z.output<typeof fileSpec>): Promise<Dataset> => {
  const { path, fileType, maxRowBytes = defaultRowBytes } = spec;
  const paths = typeof path === 'string' ? [path] : path;
  const found = await findDataFiles(paths, fileType);
  const files: JsonObject[] = [];
  for (const file of found) files.push(await describeFile(file)); // one at a time: disks like it
  const rows = async function* (): AsyncGenerator<Row, void, undefined> {
    for (const file of found) yield* readerOf(file.type)(file.path, { maxRowBytes });
  };
  let dataset: Dataset = await RowDataset.open(paths.join(', '), rows, spec, { files });
  const { skip, limit, seed = 0 } = spec;
  if (skip !== undefined || limit !== undefined) dataset = slice(dataset, { skip, limit });
  if (spec.subsample === undefined) return dataset;
  return subsample(dataset, { share: spec.subsample, seed });
};

/**
 * Opens files as a dataset, or several as a mixture. Reads them once for their hashes, and the first
 * row for the format; the records are read anew in each pass.
 * @throws OPTION_INVALID, DATA_INVALID, IO_FAILED
 */
export const openDataset = async (spec: DatasetSpec): Promise<Dataset> => {
  if (typeof spec === 'string') return openFiles(checked(fileSpec, { path: spec }));
  if (!('mixture' in spec)) return openFiles(checked(fileSpec, spec));
  const { mixture: parts, seed = 0, until } = checked(mixtureSpec, spec);
  const datasets: { dataset: Dataset; weight: number | undefined }[] = [];
  for (const { weight, ...file } of parts) {
    datasets.push({ dataset: await openFiles({ seed, ...file }), weight });
  }
  return mixture(datasets, { seed, until });
};
