// Small data files for tests.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Text, TextRecord } from '../../src/text/example.js';
import { temporaryFolder } from '../checkpoint/helpers.js';

/** Writes files by their names into a folder that goes away with the test; returns their paths. */
export const written = async (
  t: ExecutionContext,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<{ readonly folder: string; readonly paths: string[] }> => {
  const folder = await temporaryFolder(t);
  const paths = [];
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    paths.push(path);
  }
  return { folder, paths };
};

export const writtenOne = async (
  t: ExecutionContext,
  name: string,
  content: string | Uint8Array,
): Promise<string> => (await written(t, { [name]: content })).paths[0]!;

export const jsonl = (rows: readonly unknown[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('');

export const withoutOrigin = ({ origin: _, ...rest }: TextRecord): unknown => rest;

/** Of a text without turns. */
export const plainText = (text: Text): string => {
  if (typeof text === 'string') return text;
  throw new Error('expected text, found turns');
};

/** n prompts, each a row of its own. */
export const prompts = (n: number, name = 'p'): TextRecord[] =>
  Array.from({ length: n }, (_, i) => ({
    kind: 'prompt',
    origin: `${name}:${i + 1}`,
    prompt: `${name}${i}`,
    columns: {},
  }));
