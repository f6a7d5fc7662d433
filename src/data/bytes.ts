// Bytes and lines of a file as streams of bounded memory; gzip'd files are unpacked on the way.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { AlignlabError } from '../errors.js';
import { fromSystem } from '../errors.js';
import { dataError } from './row.js';

const chunkBytes = 2 ** 18;

const startOf = async (path: string): Promise<Buffer> => {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(6), 0, 6, 0);
  return buffer.subarray(0, bytesRead);
};

/** Formats that are told by their first bytes and cannot be read here. */
const foreign: readonly (readonly [magic: string, name: string, command: string])[] = [
  ['28b52ffd', 'a Zstandard archive', 'Unpack it with unzstd'],
  ['fd377a58', 'an xz archive', 'Unpack it with unxz'],
  ['425a68', 'a bzip2 archive', 'Unpack it with bunzip2'],
  ['504b0304', 'a zip archive', 'Unpack it with unzip'],
  ['fffe', 'UTF-16 text', 'Convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)'],
  ['feff', 'UTF-16 text', 'Convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)'],
];

/** By content, not by name: downloads often lose or keep a .gz wrongly. */
export const isGzip = async (path: string): Promise<boolean> => {
  let start: string;
  try {
    start = (await startOf(path)).toString('hex');
  } catch (cause) {
    throw fromSystem(cause, `read ${path}`);
  }
  const found = foreign.find(([magic]) => start.startsWith(magic));
  if (found) throw dataError(path, `it is ${found[1]}`, `${found[2]} first.`);
  return start.startsWith('1f8b');
};

const unreadable = (cause: unknown, path: string): AlignlabError => {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code === 'Z_BUF_ERROR') {
    return dataError(path, "the gzip'd data ends too early", 'Fetch the file again.');
  }
  if (code.startsWith('Z_')) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return dataError(path, `the gzip'd data is damaged (${reason})`, 'Fetch the file again.');
  }
  return fromSystem(cause, `read ${path}`);
};

export async function* readBytes(path: string): AsyncGenerator<Buffer, void, undefined> {
  const gzip = await isGzip(path);
  const file = createReadStream(path, { highWaterMark: chunkBytes });
  const unpacked = createGunzip({ chunkSize: chunkBytes });
  const stream = gzip
    ? pipeline(file, unpacked, () => {
        // Errors reach the reader of the last stream.
      })
    : file;
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (cause) {
    throw unreadable(cause, path);
  } finally {
    file.destroy();
    unpacked.destroy();
  }
}

/** A whole file, unpacked; refused past `limit` bytes, with the advice. */
export const readAll = async (path: string, limit: number, advice: string): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of readBytes(path)) {
    size += chunk.length;
    if (size > limit) {
      throw dataError(path, `it has more than the ${limit} bytes that are read at once`, advice);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

/** From 1. The text has no line feed at its end, but a carriage return where the file has one. */
export interface Line {
  readonly number: number;
  readonly text: string;
  readonly problem?: string;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Strict UTF-8; a byte-order mark at the start is left out. Undefined where it is not UTF-8. */
export const decodeUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
};

const lineOf = (number: number, parts: readonly Buffer[], size: number, limit: number): Line => {
  if (size > limit) {
    return { number, text: '', problem: `the line has ${size} bytes, more than the ${limit}` };
  }
  const text = decodeUtf8(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
  return text === undefined
    ? { number, text: '', problem: 'the line is not valid UTF-8' }
    : { number, text };
};

/** Lines of at most `limit` bytes; of a longer one no more than that is held in memory. */
export async function* readLines(
  path: string,
  limit: number,
): AsyncGenerator<Line, void, undefined> {
  let [number, size] = [1, 0];
  let parts: Buffer[] = [];
  const add = (part: Buffer): void => {
    size += part.length;
    if (size <= limit) parts.push(part);
    else parts = [];
  };
  for await (const chunk of readBytes(path)) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      add(chunk.subarray(from, end));
      yield lineOf(number++, parts, size, limit);
      [from, size, parts] = [end + 1, 0, []];
    }
    if (from < chunk.length) add(chunk.subarray(from));
  }
  if (size > 0) yield lineOf(number, parts, size, limit);
}
