// JSON Lines: one object a line, empty lines ignored; read as a stream.
import { readLines } from '../bytes.js';
import { parseRow } from '../json-text.js';
import { dataError, type Row } from '../row.js';
import type { ReaderOptions } from './reader.js';

export async function* readJsonl(
  path: string,
  { maxRowBytes }: ReaderOptions,
): AsyncGenerator<Row, void, undefined> {
  for await (const { number, text, problem } of readLines(path, maxRowBytes)) {
    const place = `${path}:${number}`;
    if (problem !== undefined) {
      const wayOut = 'Correct or remove the line; maxRowBytes sets the longest line.';
      yield { place, error: dataError(place, problem, wayOut) };
    } else if (text.trim() !== '') {
      yield parseRow(place, text);
    }
  }
}
