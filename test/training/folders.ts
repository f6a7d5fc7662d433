// What the tests of run folders look at: all bytes that two runs left.
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { ExecutionContext } from 'ava';
import { runProgram } from '../helpers/programs.js';

/** Hash of each file below a folder. Event files hold the clock; a manifest tells of sessions. */
export const contentsOf = async (folder: string): Promise<Record<string, string>> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const hashes: Record<string, string> = {};
  for (const entry of entries.filter((found) => !found.isDirectory())) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path);
    if (name.startsWith('tensorboard') || name === 'manifest.json') continue;
    hashes[name] = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  }
  return hashes;
};

/** Runs a program of test/training/programs with settings, and says how it ended. */
export const runTraining = async (
  t: ExecutionContext,
  program: string,
  folder: string,
  settings: object,
): Promise<'finished' | 'killed'> => {
  const path = `../../training/programs/${program}`;
  const { code, signal, stderr } = await runProgram(path, [folder, JSON.stringify(settings)]);
  if (signal === 'SIGKILL') return 'killed';
  t.is(code, 0, stderr);
  return 'finished';
};
