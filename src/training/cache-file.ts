// A file of JSON lines that is only ever appended to. What a crash leaves half-written at its end
// is no line, and is not read.
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { JsonValue } from '../checkpoint/json.js';
import { fromSystem } from '../errors.js';

/** The lines that are whole; none where there is no file. */
export const readLines = async (path: string): Promise<unknown[]> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw fromSystem(cause, `read ${path}`);
  }
  return text.split('\n').flatMap((line): unknown[] => {
    try {
      return line === '' ? [] : [JSON.parse(line)];
    } catch {
      return [];
    }
  });
};

/** Begins on a new line, so that a torn one before it costs nothing but itself. */
export const appendLines = async (path: string, lines: readonly JsonValue[]): Promise<void> => {
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  try {
    await mkdir(dirname(path), { recursive: true });
    await appendFile(path, `\n${text}`);
  } catch (cause) {
    throw fromSystem(cause, `write ${path}`);
  }
};
