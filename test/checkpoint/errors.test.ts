// Codes are shared with native code: what it throws must be in the list.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { AlignlabError, errorCodes, fromNative } from '../../src/errors.js';

const sources = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.(h|cc|cu|cuh)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
};

test('every code that native code throws is in errorCodes', async (t) => {
  const files = await sources('native');
  t.true(files.length > 0);
  const known = new Set<string>(errorCodes);
  let found = 0;
  for (const file of files) {
    const text = await readFile(file, 'utf8');
    for (const [, code = ''] of text.matchAll(/\bError\s*\(\s*"([A-Z0-9_]+)"/g)) {
      found++;
      t.true(known.has(code), `${file} throws "${code}"`);
    }
  }
  t.true(found > 0, 'the pattern no longer finds a code in native/');
});

test('native errors become ours, others pass', (t) => {
  const native = Object.assign(new Error('too large'), { code: 'OUT_OF_MEMORY' });
  const error = fromNative(native);
  t.true(error instanceof AlignlabError);
  t.like(error, { code: 'OUT_OF_MEMORY', message: 'too large', name: 'AlignlabError' });
  t.is((error as Error).cause, native);
  t.is(fromNative(error), error);
  for (const other of [new Error('x'), Object.assign(new Error('x'), { code: 'ENOENT' }), 7]) {
    t.is(fromNative(other), other);
  }
});

test('codes are unique and written alike', (t) => {
  t.is(new Set(errorCodes).size, errorCodes.length);
  for (const code of errorCodes) t.regex(code, /^[A-Z]+(_[A-Z]+)*$/);
});
