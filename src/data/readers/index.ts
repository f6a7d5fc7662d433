// The file types that can be read, and which files a path means.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { AlignlabError, fromSystem } from '../../errors.js';
import { csvReader } from './csv.js';
import { readJson } from './json.js';
import { readJsonl } from './jsonl.js';
import { readParquet } from './parquet.js';
import type { Reader } from './reader.js';

export const fileTypes = ['jsonl', 'json', 'csv', 'tsv', 'parquet'] as const;
export type FileType = (typeof fileTypes)[number];

const readers: Readonly<Record<FileType, Reader>> = {
  jsonl: readJsonl,
  json: readJson,
  csv: csvReader(','),
  tsv: csvReader('\t'),
  parquet: readParquet,
};

export const readerOf = (type: FileType): Reader => readers[type];

export interface DataFile {
  readonly path: string;
  readonly type: FileType;
}

const suffix = /\.(jsonl|ndjson|json|csv|tsv|parquet)(\.gz|\.gzip)?$/i;

const typeByName = (path: string): FileType | undefined => {
  const found = suffix.exec(path)?.[1]?.toLowerCase();
  return found === 'ndjson' ? 'jsonl' : (found as FileType | undefined);
};

// Descriptions that lie beside the rows of downloaded sets.
const notData = /(^|[\\/])(dataset_infos?|dataset_dict|state|config|package)\.json$/i;

const typed = (path: string, type: FileType | undefined): DataFile => {
  const found = type ?? typeByName(path);
  if (found) return { path, type: found };
  throw new AlignlabError(
    'DATA_INVALID',
    `The name of ${path} does not tell its type: .jsonl, .json, .csv, .tsv and .parquet are read, ` +
      "each also with .gz. Rename it, or pass fileType: 'jsonl', for example.",
  );
};

const byName = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

const matching = async (pattern: string, folder: string): Promise<string[]> => {
  const found = await glob(pattern, { cwd: folder, onlyFiles: true, expandDirectories: false });
  return found.filter((path) => !notData.test(path)).sort(byName);
};

const noFiles = (path: string, what: string): AlignlabError =>
  new AlignlabError(
    'DATA_INVALID',
    `${path} ${what}. Files that end in .jsonl, .json, .csv, .tsv or .parquet are looked for, each ` +
      'also with .gz.',
  );

const filesOf = async (path: string, type: FileType | undefined): Promise<DataFile[]> => {
  let found;
  try {
    found = await stat(path);
  } catch (cause) {
    if (!isDynamicPattern(path)) throw fromSystem(cause, `read ${path}`);
  }
  if (found?.isFile()) return [typed(path, type)];
  if (found) {
    const paths = (await matching('**/*', path)).filter((name) => suffix.test(name));
    if (paths.length === 0) throw noFiles(path, 'is a folder without data files');
    return paths.map((name) => typed(join(path, name), type));
  }
  const paths = await matching(path.replaceAll('\\', '/'), process.cwd());
  if (paths.length === 0) throw noFiles(path, 'matches no file');
  return paths.map((name) => typed(name, type));
};

/** Files, folders (all data files below) and globs; each file once, those of one path by name. */
export const findDataFiles = async (
  paths: readonly string[],
  type?: FileType,
): Promise<readonly DataFile[]> => {
  const files = new Map<string, DataFile>();
  for (const path of paths) {
    for (const file of await filesOf(path, type)) files.set(file.path, file);
  }
  return [...files.values()];
};
