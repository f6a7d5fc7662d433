// Files in D4RL's format that a user has: observations, actions, rewards, terminals and, where they
// are, next_observations and timeouts. HDF5 as D4RL wrote it; Parquet with a row for each
// transition or for each episode.
import { extname } from 'node:path';
import { fileHash } from '../../data/content-hash.js';
import { dataError } from '../../data/row.js';
import type { EnvSpec } from '../environments/environment.js';
import type { Dataset } from './folder.js';
import { type RawColumns, readHdf5Columns } from './hdf5.js';
import { readParquetColumns } from './parquet.js';
import { type TransitionColumns, TransitionLog, checkColumns } from './transitions.js';

/** Which transitions can be used, and what follows their last one. */
interface Boundary {
  readonly terminal: boolean;
  readonly timeout: boolean;
}

const boundaryOf = (raw: RawColumns, i: number): Boundary => ({
  terminal: raw.terminals[i] !== 0,
  timeout: raw.timeouts !== undefined && raw.timeouts[i] !== 0,
});

const requireWidth = (
  path: string,
  name: string,
  column: ArrayLike<number>,
  expected: number,
): void => {
  if (column.length === expected) return;
  throw dataError(
    path,
    `the column ${name} has ${column.length} numbers where the environment has ${expected}`,
    'Check that the file belongs to this environment and that it is complete.',
  );
};

const checkShapes = (path: string, raw: RawColumns, { obsDim, actDim }: EnvSpec): number => {
  const n = raw.rewards.length;
  requireWidth(path, 'observations', raw.observations, n * obsDim);
  requireWidth(path, 'actions', raw.actions, n * actDim);
  requireWidth(path, 'terminals', raw.terminals, n);
  if (raw.timeouts) requireWidth(path, 'timeouts', raw.timeouts, n);
  if (raw.nextObservations) {
    requireWidth(path, 'next_observations', raw.nextObservations, n * obsDim);
  } else if (!raw.timeouts) {
    throw dataError(
      path,
      'there is neither next_observations nor timeouts, so the ends of episodes are unknown',
      'Take a version of the file that has one of them.',
    );
  }
  return n;
};

const clip = (actions: Float32Array): Float32Array =>
  actions.map((value) => Math.min(1, Math.max(-1, value)));

/**
 * Without next_observations the next row is the next state; the last transition of an episode
 * that was cut off has none and is left out, and after a terminal one none is needed.
 */
const assemble = (raw: RawColumns, n: number, { obsDim, actDim }: EnvSpec): TransitionColumns => {
  const log = new TransitionLog(obsDim, actDim, n);
  const row = (array: Float32Array, i: number, width: number): Float32Array =>
    array.subarray(i * width, (i + 1) * width);
  const actions = clip(raw.actions);
  for (let i = 0; i < n; i += 1) {
    const { terminal, timeout } = boundaryOf(raw, i);
    const lost = !raw.nextObservations && !terminal && (timeout || i === n - 1);
    if (lost) continue;
    const obs = row(raw.observations, i, obsDim);
    const next = raw.nextObservations
      ? row(raw.nextObservations, i, obsDim)
      : row(raw.observations, terminal ? i : i + 1, obsDim);
    const truncated = timeout && !terminal;
    log.push(obs, row(actions, i, actDim), raw.rewards[i]!, next, terminal, truncated);
  }
  return log.columns();
};

const readers = new Map<string, (path: string) => Promise<RawColumns>>([
  ['.hdf5', (path) => readHdf5Columns(path)],
  ['.h5', (path) => readHdf5Columns(path)],
  ['.parquet', readParquetColumns],
]);

/**
 * Reads a file in D4RL's format as a dataset of this environment.
 * @throws DATA_INVALID for another kind of file, missing columns, other dimensions, numbers that are
 *   not finite; ADDON_NOT_FOUND where an HDF5 file needs h5wasm, which is not installed
 */
export const importD4rl = async (path: string, spec: EnvSpec): Promise<Dataset> => {
  const read = readers.get(extname(path).toLowerCase());
  if (!read) {
    throw dataError(
      path,
      `files that end in "${extname(path)}" are not known as D4RL's`,
      `Give one that ends in ${[...readers.keys()].join(', ')}.`,
    );
  }
  const raw = await read(path);
  const n = checkShapes(path, raw, spec);
  const columns = assemble(raw, n, spec);
  checkColumns(columns, spec.obsDim, spec.actDim, path);
  const about = {
    note: 'Imported from a file in the format of D4RL.',
    file: { sha256: await fileHash(path), transitions: n },
    ...(columns.n < n ? { leftOut: n - columns.n } : {}),
  };
  return { columns, about, extra: new Map() };
};
