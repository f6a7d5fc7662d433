// A file of JSON lines that is only ever appended to. What a crash leaves half-written at its end
// is no line, and is not read.
import { appendFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { JsonValue } from '../checkpoint/json.js';
import { readLines } from '../data/bytes.js';
import { fromSystem } from '../errors.js';
import { sizeOf } from './files.js';

const maxLineBytes = 2 ** 28;

/** What the whole lines say, one by one; nothing where there is no file. */
export async function* readJson(path: string): AsyncGenerator<unknown, void, undefined> {
  if ((await sizeOf(path)) === 0) return;
  for await (const { text } of readLines(path, maxLineBytes)) {
    try {
      if (text !== '') yield JSON.parse(text);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
    }
  }
}

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
