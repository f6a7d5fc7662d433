// A dataset as a folder: header.json and one file of raw little-endian numbers for each column. It
// appears whole or not at all, and is refused when it is not what its header says.
import { createHash, randomBytes } from 'node:crypto';
import { access, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type JsonObject, isObject, readJsonFile } from '../../checkpoint/json.js';
import { AlignlabError, fromSystem } from '../../errors.js';
import { sync } from '../../files.js';
import { toJsonText } from '../../training/json-text.js';
import { packageVersion } from '../../version.js';
import type { EnvSpec } from '../environments/environment.js';
import { type TransitionColumns, checkColumns } from './transitions.js';

export const headerName = 'header.json';

/** Raised when an older reader would misread a folder. */
const formatVersion = 1;

const columnFiles = {
  obs: 'observations.f32',
  act: 'actions.f32',
  rew: 'rewards.f32',
  next: 'next_observations.f32',
  done: 'terminals.u8',
  truncated: 'timeouts.u8',
} as const;

type ColumnName = keyof typeof columnFiles;
const columnNames = Object.keys(columnFiles) as ColumnName[];

export interface Dataset {
  readonly columns: TransitionColumns;
  /** Where it is from: kind, recipe, seed, returns of its episodes. */
  readonly about: JsonObject;
  /** Bytes that belong to it, such as the state of the learner that made it. */
  readonly extra: ReadonlyMap<string, Uint8Array>;
}

const invalid = (path: string, found: string): AlignlabError =>
  new AlignlabError(
    'DATA_INVALID',
    `${path}: ${found}. Remove the folder and build the dataset again.`,
  );

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const bytesOf = (array: Float32Array | Uint8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const writeDurably = async (path: string, bytes: Uint8Array | string): Promise<void> => {
  await using file = await open(path, 'wx');
  await file.writeFile(bytes);
  await file.sync();
};

const environmentOf = ({ id, obsDim, actDim, xmlHash, engine }: EnvSpec): JsonObject => ({
  id,
  obsDim,
  actDim,
  xmlHash,
  engine,
});

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** A new folder at `path`; if one is there already it stays, since its name is its content. */
export const writeDataset = async (
  path: string,
  spec: EnvSpec,
  { columns, about, extra }: Dataset,
): Promise<void> => {
  checkColumns(columns, spec.obsDim, spec.actDim, `The dataset for ${path}`);
  const temporary = join(
    dirname(path),
    `.${basename(path)}.saving-${process.pid}-${randomBytes(4).toString('hex')}`,
  );
  const files: [string, Uint8Array][] = [
    ...columnNames.map((name): [string, Uint8Array] => [columnFiles[name], bytesOf(columns[name])]),
    ...extra,
  ];
  const header = {
    format: formatVersion,
    alignlab: packageVersion,
    transitions: columns.n,
    environment: environmentOf(spec),
    about,
    files: Object.fromEntries(
      files.map(([name, bytes]) => [name, { bytes: bytes.byteLength, sha256: hashOf(bytes) }]),
    ),
  };
  try {
    await mkdir(temporary, { recursive: true });
    for (const [name, bytes] of files) await writeDurably(join(temporary, name), bytes);
    await writeDurably(join(temporary, headerName), `${toJsonText(header, 2)}\n`);
    await sync(temporary);
    await rename(temporary, path);
    await sync(dirname(path));
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    if (await exists(join(path, headerName))) return;
    throw fromSystem(cause, `write the dataset ${path}`);
  }
};

/** Whether a finished dataset is there. */
export const hasDataset = (path: string): Promise<boolean> => exists(join(path, headerName));

const readHeader = async (path: string): Promise<JsonObject> => {
  const file = await readJsonFile(join(path, headerName), 'DATA_INVALID');
  if (!file) {
    throw new AlignlabError(
      'DATA_INVALID',
      `${path} is no dataset: it has no ${headerName}. Check the path, or build the dataset.`,
    );
  }
  const { format } = file.value;
  if (format !== formatVersion) {
    throw invalid(path, `its format is ${String(format)}, this version reads ${formatVersion}`);
  }
  return file.value;
};

const checkEnvironment = (path: string, header: JsonObject, spec: EnvSpec): void => {
  const found = isObject(header.environment) ? header.environment : {};
  for (const [name, expected] of Object.entries(environmentOf(spec))) {
    if (found[name] === expected) continue;
    const what = name === 'xmlHash' ? 'the hash of the model (xmlHash)' : name;
    throw invalid(
      path,
      `it was made with another environment: ${what} is ${String(found[name])} there and ` +
        `${String(expected)} here`,
    );
  }
};

const readChecked = async (path: string, name: string, header: JsonObject): Promise<Uint8Array> => {
  const entry = isObject(header.files) ? header.files[name] : undefined;
  if (!isObject(entry)) throw invalid(path, `its header does not name ${name}`);
  const file = join(path, name);
  let bytes: Uint8Array;
  try {
    const { size } = await stat(file);
    if (size !== entry.bytes) {
      throw invalid(path, `${name} has ${size} bytes, its header says ${String(entry.bytes)}`);
    }
    bytes = await readFile(file);
  } catch (cause) {
    throw fromSystem(cause, `read ${file}`, 'DATA_INVALID');
  }
  if (hashOf(bytes) !== entry.sha256) {
    throw invalid(path, `the contents of ${name} are not those that its header names (SHA-256)`);
  }
  return bytes;
};

/** A copy, so that it begins where four-byte numbers may. */
const floats = (bytes: Uint8Array): Float32Array => new Float32Array(Uint8Array.from(bytes).buffer);

/**
 * Reads a dataset of this environment.
 * @throws DATA_INVALID for another model or physics version, missing or truncated or altered files
 */
export const readDataset = async (path: string, spec: EnvSpec): Promise<Dataset> => {
  const header = await readHeader(path);
  checkEnvironment(path, header, spec);
  const read = (name: string): Promise<Uint8Array> => readChecked(path, name, header);
  const columns: TransitionColumns = {
    obs: floats(await read(columnFiles.obs)),
    act: floats(await read(columnFiles.act)),
    rew: floats(await read(columnFiles.rew)),
    next: floats(await read(columnFiles.next)),
    done: Uint8Array.from(await read(columnFiles.done)),
    truncated: Uint8Array.from(await read(columnFiles.truncated)),
    n: Number(header.transitions),
  };
  checkColumns(columns, spec.obsDim, spec.actDim, path);
  const known = new Set<string>(Object.values(columnFiles));
  const extra = new Map<string, Uint8Array>();
  for (const name of Object.keys(isObject(header.files) ? header.files : {})) {
    if (!known.has(name)) extra.set(name, Uint8Array.from(await read(name)));
  }
  return { columns, about: isObject(header.about) ? header.about : {}, extra };
};
