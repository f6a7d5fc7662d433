// D4RL-format columns out of HDF5, by the library of the HDF Group in WebAssembly, loaded when a
// file first needs it.
import { open } from 'node:fs/promises';
import { dataError } from '../../data/row.js';
import { AlignlabError, fromSystem } from '../../errors.js';

export interface RawColumns {
  /** [n, obsDim], as flat numbers; likewise below. */
  readonly observations: Float32Array;
  readonly actions: Float32Array;
  readonly rewards: Float32Array;
  readonly terminals: Uint8Array;
  readonly timeouts?: Uint8Array;
  readonly nextObservations?: Float32Array;
}

interface Hdf5Dataset {
  readonly value: unknown;
}

interface Hdf5File {
  keys(): string[];
  get(name: string): Hdf5Dataset | null;
  close(): unknown;
}

interface Hdf5 {
  readonly ready: Promise<unknown>;
  readonly File: new (path: string, mode: string) => Hdf5File;
}

export type Hdf5Importer = () => Promise<Hdf5>;

export const h5wasmVersion = '0.10.3';

// The name is not a literal for the compiler: the package is the user's choice, and may be absent.
const packageName = ['h5wasm', 'node'].join('/');
const importH5wasm: Hdf5Importer = async () => (await import(packageName)) as Hdf5;

const loadHdf5 = async (path: string, importer: Hdf5Importer): Promise<Hdf5> => {
  try {
    const hdf5 = await importer();
    await hdf5.ready;
    return hdf5;
  } catch (cause) {
    throw new AlignlabError(
      'ADDON_NOT_FOUND',
      `Reading ${path} needs the package h5wasm, which is not installed or does not load. Run ` +
        `npm install h5wasm@${h5wasmVersion}, or give the data as Parquet.`,
      { cause },
    );
  }
};

const signature = Buffer.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]);

const requireHdf5 = async (path: string): Promise<void> => {
  const start = Buffer.alloc(signature.length);
  try {
    await using file = await open(path, 'r');
    await file.read(start, 0, start.length, 0);
  } catch (cause) {
    throw fromSystem(cause, `read ${path}`);
  }
  if (start.equals(signature)) return;
  throw dataError(path, 'it is no HDF5 file', 'Fetch it again, or check the path.');
};

type Column = 'floats' | 'flags';

const columnOf = (path: string, name: string, value: unknown, as: Column): Float32Array => {
  const listed =
    Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  if (!listed) throw dataError(path, `${name} is no array of numbers`, 'Check the file.');
  const numbers = value as ArrayLike<number | boolean | bigint>;
  const column = new Float32Array(numbers.length);
  for (let i = 0; i < column.length; i += 1) {
    column[i] = as === 'flags' ? (Number(numbers[i]) === 0 ? 0 : 1) : Number(numbers[i]);
  }
  return column;
};

const readFrom = (path: string, file: Hdf5File): RawColumns => {
  const names = new Set(file.keys());
  const read = (name: string, as: Column): Float32Array => {
    const dataset = names.has(name) ? file.get(name) : null;
    if (dataset) return columnOf(path, name, dataset.value, as);
    const found = [...names].join(', ') || 'nothing';
    throw dataError(
      path,
      `there is no "${name}"; it has ${found}`,
      "Give a file in D4RL's format.",
    );
  };
  const flags = (name: string): Uint8Array => Uint8Array.from(read(name, 'flags'));
  return {
    observations: read('observations', 'floats'),
    actions: read('actions', 'floats'),
    rewards: read('rewards', 'floats'),
    terminals: flags(names.has('terminals') || !names.has('dones') ? 'terminals' : 'dones'),
    ...(names.has('timeouts') ? { timeouts: flags('timeouts') } : {}),
    ...(names.has('next_observations')
      ? { nextObservations: read('next_observations', 'floats') }
      : {}),
  };
};

/** `importer` is for tests. */
export const readHdf5Columns = async (
  path: string,
  importer: Hdf5Importer = importH5wasm,
): Promise<RawColumns> => {
  await requireHdf5(path);
  const hdf5 = await loadHdf5(path, importer);
  let file: Hdf5File | undefined;
  try {
    file = new hdf5.File(path, 'r');
    return readFrom(path, file);
  } catch (cause) {
    if (cause instanceof AlignlabError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw dataError(path, `it cannot be read as HDF5 (${reason})`, 'Fetch the file again.');
  } finally {
    file?.close();
  }
};
