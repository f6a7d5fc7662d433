// Files that appear whole: a reader, and a killed process, see the old text or the new one.
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fromSystem } from './errors.js';

/** Makes the contents of a file, or the entries of a folder, durable. */
export const sync = async (path: string): Promise<void> => {
  await using file = await open(path, 'r');
  await file.sync();
};

/** Replaces a file at once, durably. */
export const writeWhole = async (path: string, text: string | Uint8Array): Promise<void> => {
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
