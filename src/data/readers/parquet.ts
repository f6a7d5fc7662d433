// Parquet, one row group in memory at a time. A gzip'd file is unpacked into memory, since Parquet is
// read from its end.
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { JsonObject } from '../../checkpoint/json.js';
import { isObject } from '../../checkpoint/json.js';
import { isGzip, readAll } from '../bytes.js';
import { AlignlabError } from '../../errors.js';
import { dataError, type Row } from '../row.js';
import type { ReaderOptions } from './reader.js';

const unpackedBytes = 2 ** 30;

const opened = async (path: string): Promise<AsyncBuffer> => {
  if (!(await isGzip(path))) return asyncBufferFromFile(path);
  const bytes = await readAll(path, unpackedBytes, 'Unpack it with gunzip.');
  const { buffer, byteOffset, byteLength } = bytes;
  return {
    byteLength,
    slice: (start, end) =>
      buffer.slice(byteOffset + start, byteOffset + (end ?? byteLength)) as ArrayBuffer,
  };
};

/** What JSON would hold: 64-bit integers as numbers where exact, dates as ISO text. */
const plain = (value: unknown): unknown => {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, plain);
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
};

const damaged = (cause: unknown, path: string): AlignlabError => {
  if (cause instanceof AlignlabError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return dataError(path, `it cannot be read as Parquet (${reason})`, 'Fetch the file again.');
};

async function* rowsOf(path: string): AsyncGenerator<JsonObject, void, undefined> {
  try {
    const file = await opened(path);
    const metadata = await parquetMetadataAsync(file);
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      const options = { file, metadata, rowStart, rowEnd, compressors };
      yield* (await parquetReadObjects(options)) as JsonObject[];
      rowStart = rowEnd;
    }
  } catch (cause) {
    throw damaged(cause, path);
  }
}

export async function* readParquet(
  path: string,
  _options: ReaderOptions,
): AsyncGenerator<Row, void, undefined> {
  let number = 0;
  for await (const row of rowsOf(path)) {
    yield { place: `${path}, row ${++number}`, value: plain(row) as JsonObject };
  }
}
