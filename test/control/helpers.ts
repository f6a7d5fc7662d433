// What tests of control share.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { AlignlabError } from '../../src/errors.js';

/** The code of the error that was thrown; empty for an error of another kind. */
export const code = (error: unknown): string => (error instanceof AlignlabError ? error.code : '');

const folders: string[] = [];

/** Removed when the test file ends. */
export const temporaryFolder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'alignlab-control-'));
  folders.push(path);
  return path;
};

test.after.always(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});
