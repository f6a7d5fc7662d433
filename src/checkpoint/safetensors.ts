// The safetensors format: u64 header length, JSON header, then the tensors' bytes without holes.
// Everything about a file is checked here, so that native code gets byte ranges that it can trust.
import { type FileHandle, open } from 'node:fs/promises';
import { AlignlabError, fromSystem } from '../errors.js';
import { type JsonObject, isObject, parseJsonObject, show } from './json.js';

/** Bytes of one element. Weights are F32, BF16 or F16; the others may stand in reference files. */
const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const;

export type Dtype = keyof typeof dtypeBytes;
export const weightDtypes = ['F32', 'BF16', 'F16'] as const;
export type WeightDtype = (typeof weightDtypes)[number];

const isDtype = (value: unknown): value is Dtype =>
  typeof value === 'string' && Object.hasOwn(dtypeBytes, value);
export const isWeightDtype = (dtype: Dtype): dtype is WeightDtype =>
  weightDtypes.some((known) => known === dtype);
export const bytesPerElement = (dtype: Dtype): number => dtypeBytes[dtype];

export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Byte range in the file, counted from its first byte. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsFile {
  readonly path: string;
  readonly size: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

const maxHeaderBytes = 100_000_000; // the limit of the reference implementation
const maxTensors = 1_000_000;
const maxRank = 16;
const reserved = new Set(['__proto__', 'constructor', 'prototype']);

const invalid = (path: string, problem: string): AlignlabError =>
  new AlignlabError(
    'CHECKPOINT_INVALID',
    `${path}: ${problem}. The file is damaged or is not safetensors; fetch or save it again.`,
  );

/** The number of elements, or null when the product leaves the safe integers. */
const elementsOf = (shape: readonly number[]): number | null => {
  if (shape.includes(0)) return 0;
  let product = 1;
  for (const size of shape) {
    product *= size;
    if (!Number.isSafeInteger(product)) return null;
  }
  return product;
};

const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const parseEntry = (path: string, name: string, raw: unknown, dataStart: number): TensorEntry => {
  const tensor = `tensor ${show(name)}`;
  if (!isObject(raw)) throw invalid(path, `${tensor} is described by ${show(raw)}, not an object`);
  const { dtype, shape, data_offsets: offsets } = raw;
  if (!isDtype(dtype)) {
    throw invalid(
      path,
      `${tensor} has dtype ${show(dtype)}, known are ${Object.keys(dtypeBytes).join(', ')}`,
    );
  }
  if (!Array.isArray(shape) || shape.length > maxRank || !shape.every(isSize)) {
    throw invalid(
      path,
      `${tensor} has shape ${show(shape)}, expected at most ${maxRank} non-negative integers`,
    );
  }
  const pair: unknown[] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  const [from, to] = pair;
  if (!isSize(from) || !isSize(to) || to < from) {
    throw invalid(path, `${tensor} has data_offsets ${show(offsets)}, expected [begin, end]`);
  }
  const elements = elementsOf(shape);
  if (elements === null || elements * dtypeBytes[dtype] !== to - from) {
    throw invalid(
      path,
      `${tensor} of shape ${show(shape)} and dtype ${dtype} does not fill its ${to - from} bytes`,
    );
  }
  return { dtype, shape, begin: dataStart + from, end: dataStart + to };
};

/** Tensors tile the data region: no overlap, no hole, nothing past the end or left over. */
const checkTiling = (
  path: string,
  size: number,
  dataStart: number,
  tensors: ReadonlyMap<string, TensorEntry>,
): void => {
  const order = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let expected = dataStart;
  for (const [name, { begin, end }] of order) {
    if (end > size) {
      throw invalid(
        path,
        `tensor ${show(name)} ends at byte ${end} but the file has ${size}: it is truncated`,
      );
    }
    if (begin !== expected) {
      const what = begin < expected ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw invalid(
        path,
        `tensor ${show(name)} begins at byte ${begin}, not at ${expected}: it ${what}`,
      );
    }
    expected = end;
  }
  if (expected !== size) {
    throw invalid(path, `${size - expected} bytes after the last tensor belong to none`);
  }
};

const parseMetadata = (path: string, raw: unknown): Record<string, string> => {
  const metadata: Record<string, string> = {};
  if (raw === undefined) return metadata;
  if (!isObject(raw)) throw invalid(path, `__metadata__ is ${show(raw)}, expected an object`);
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value !== 'string' || reserved.has(key)) {
      throw invalid(path, `__metadata__ has ${show(key)}: ${show(value)}, expected strings`);
    }
    metadata[key] = value;
  }
  return metadata;
};

const parseHeader = (
  path: string,
  header: JsonObject,
  dataStart: number,
  size: number,
): SafetensorsFile => {
  const tensors = new Map<string, TensorEntry>();
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  if (entries.length > maxTensors) {
    throw invalid(path, `${entries.length} tensors are listed, at most ${maxTensors} are read`);
  }
  for (const [name, raw] of entries) {
    if (reserved.has(name)) throw invalid(path, `a tensor is called ${show(name)}`);
    tensors.set(name, parseEntry(path, name, raw, dataStart));
  }
  checkTiling(path, size, dataStart, tensors);
  return { path, size, metadata: parseMetadata(path, header.__metadata__), tensors };
};

/** Fills `bytes` from `position`; null-safe against short reads and the 2 GiB limit of one read. */
export const readFully = async (
  file: FileHandle,
  path: string,
  bytes: Uint8Array,
  position: number,
): Promise<void> => {
  for (let done = 0; done < bytes.length;) {
    const length = Math.min(bytes.length - done, 2 ** 30);
    const { bytesRead } = await file.read(bytes, done, length, position + done);
    if (bytesRead === 0) throw invalid(path, `the file ended at byte ${position + done}`);
    done += bytesRead;
  }
};

/** Reads and checks the header; the tensors' bytes stay on disk. */
export const openSafetensors = async (path: string): Promise<SafetensorsFile> => {
  try {
    await using file = await open(path, 'r');
    const stat = await file.stat();
    if (!stat.isFile()) throw invalid(path, 'it is not a regular file');
    const { size } = stat;
    if (size < 8) throw invalid(path, `it has ${size} bytes and cannot hold a header`);
    const prefix = Buffer.alloc(8);
    await readFully(file, path, prefix, 0);
    const length = prefix.readBigUInt64LE();
    if (length > BigInt(maxHeaderBytes)) {
      throw invalid(
        path,
        `the header claims ${length} bytes, at most ${maxHeaderBytes} are allowed`,
      );
    }
    if (length > BigInt(size - 8)) {
      throw invalid(path, `the header claims ${length} bytes but only ${size - 8} follow it`);
    }
    const bytes = Buffer.alloc(Number(length));
    await readFully(file, path, bytes, 8);
    if (bytes[0] !== 0x7b) throw invalid(path, 'the header does not begin with "{"');
    const header = parseJsonObject(bytes, `${path}: the header`, 'CHECKPOINT_INVALID');
    return parseHeader(path, header, 8 + bytes.length, size);
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    throw fromSystem(cause, `read ${path}`, missing ? 'CHECKPOINT_NOT_FOUND' : 'IO_FAILED');
  }
};

export interface HeaderEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

export interface EncodedHeader {
  /** Length prefix and JSON, padded with spaces to a multiple of 8. */
  readonly bytes: Buffer;
  /** Absolute byte ranges, in the order of the entries. */
  readonly ranges: readonly { readonly begin: number; readonly end: number }[];
  /** Size of the whole file. */
  readonly size: number;
}

/** The header of a file that holds `entries` one after the other. */
export const encodeHeader = (
  entries: readonly HeaderEntry[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): EncodedHeader => {
  const header = new Map<string, unknown>([['__metadata__', metadata]]);
  const relative: [number, number][] = [];
  let offset = 0;
  for (const { name, dtype, shape } of entries) {
    const elements = elementsOf(shape);
    if (header.has(name) || reserved.has(name) || elements === null || !shape.every(isSize)) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `Cannot save tensor ${show(name)} of shape ${show(shape)}: ` +
          'names must be unique and shapes non-negative integers.',
      );
    }
    const end = offset + elements * dtypeBytes[dtype];
    header.set(name, { dtype, shape, data_offsets: [offset, end] });
    relative.push([offset, end]);
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  json.copy(bytes, 8);
  const ranges = relative.map(([from, to]) => ({
    begin: bytes.length + from,
    end: bytes.length + to,
  }));
  return { bytes, ranges, size: bytes.length + offset };
};
