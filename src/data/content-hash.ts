// Content hashes: what manifests say about data, and the keys of the reference's cached log-probs.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { fromSystem } from '../errors.js';

export type Hashed = string | Int32Array | Uint8Array | number | boolean | null;

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};

const float64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
};

// Each part goes in with its type and length, so that ('ab', 'c') and ('a', 'bc') differ.
const framed = (part: Hashed): readonly Uint8Array[] => {
  if (part === null || typeof part === 'boolean') return [Buffer.from(String(part)[0] ?? '')];
  if (typeof part === 'number') return [Buffer.from('d'), float64(part)];
  const [tag, bytes] =
    typeof part === 'string'
      ? ['s', Buffer.from(part, 'utf8')]
      : part instanceof Int32Array
        ? ['i', Buffer.from(part.buffer, part.byteOffset, part.byteLength)]
        : ['b', part];
  return [Buffer.from(tag), int32(bytes.byteLength), bytes];
};

/** SHA-256, in hex, of the parts in their order: of more than a call takes arguments, too. */
export const listHash = (parts: Iterable<Hashed>): string => {
  const hash = createHash('sha256');
  for (const part of parts) for (const bytes of framed(part)) hash.update(bytes);
  return hash.digest('hex');
};

/** SHA-256, in hex, of the parts in their order. */
export const contentHash = (...parts: readonly Hashed[]): string => listHash(parts);

/** SHA-256, in hex, of the bytes of files, one after the other. Reads them as streams. */
export const filesHash = async (paths: readonly string[]): Promise<string> => {
  const hash = createHash('sha256');
  for (const path of paths) {
    try {
      for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
        hash.update(chunk as Buffer);
      }
    } catch (cause) {
      throw fromSystem(cause, `read ${path}`);
    }
  }
  return hash.digest('hex');
};

/** SHA-256, in hex, of a file's bytes: what sha256sum prints. */
export const fileHash = (path: string): Promise<string> => filesHash([path]);
