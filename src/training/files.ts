// Files of a run folder: texts that appear whole, and logs that only grow and can be cut back.
import { randomBytes } from 'node:crypto';
import { open, rename, rm, stat, truncate } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AlignlabError, fromSystem } from '../errors.js';

/** Makes the contents of a file, or the entries of a folder, durable. */
export const sync = async (path: string): Promise<void> => {
  await using file = await open(path, 'r');
  await file.sync();
};

/** Replaces a file at once: readers, and a killed process, see the old text or the new one. */
export const writeWhole = async (path: string, text: string): Promise<void> => {
  const unique = `${process.pid}-${randomBytes(4).toString('hex')}`;
  const temporary = join(dirname(path), `.${basename(path)}.saving-${unique}`);
  try {
    {
      await using file = await open(temporary, 'wx');
      await file.writeFile(text);
      await file.sync();
    }
    await rename(temporary, path);
    await sync(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw fromSystem(cause, `write ${path}`);
  }
};

const missing = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';

/** Bytes of a file, 0 when there is none. */
export const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    if (missing(cause)) return 0;
    throw fromSystem(cause, `read ${path}`);
  }
};

/** The size of a log, once every byte of it is on disk. */
export const durableSize = async (path: string): Promise<number> => {
  try {
    await sync(path);
  } catch (cause) {
    if (missing(cause)) return 0;
    throw fromSystem(cause, `write ${path}`);
  }
  return sizeOf(path);
};

/** Cuts a log back to its first `bytes`; one that is shorter has lost what a checkpoint counts on. */
export const cutBack = async (path: string, bytes: number): Promise<void> => {
  const size = await sizeOf(path);
  if (size < bytes) {
    throw new AlignlabError(
      'RUN_INVALID',
      `${path} has ${size} bytes, but the checkpoint was saved when it had ${bytes}. ` +
        'Put the file back as it was, resume from an older checkpoint, or start anew.',
    );
  }
  if (size === bytes) return;
  try {
    await truncate(path, bytes);
    await sync(path);
  } catch (cause) {
    throw fromSystem(cause, `write ${path}`);
  }
};
