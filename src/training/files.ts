// Files of a run folder: texts that appear whole, and logs that only grow and can be cut back.
import { stat, truncate } from 'node:fs/promises';
import { AlignlabError, fromSystem } from '../errors.js';
import { sync } from '../files.js';

export { writeWhole } from '../files.js';

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
