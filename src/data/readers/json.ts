// JSON files: a list of objects, read as a stream, or an object that holds such a list, read whole.
// Files that are JSON Lines in spite of their name are recognised.
import { isObject, type JsonObject } from '../../checkpoint/json.js';
import { decodeUtf8, readAll, readBytes, readLines } from '../bytes.js';
import { parseRow } from '../json-text.js';
import { dataError, type Row, wrongValue } from '../row.js';
import { type Element, JsonListScanner } from './json-list.js';
import { readJsonl } from './jsonl.js';
import type { ReaderOptions } from './reader.js';

/** {"data": [...]} is parsed at once: V8 holds no longer text than 512 MiB. */
const wholeFileBytes = 256 * 2 ** 20;

const rowOf = (path: string, { number, bytes, size }: Element, limit: number): Row => {
  const place = `${path}, row ${number}`;
  if (size > limit) {
    const found = `the row has ${size} bytes, more than the ${limit} of maxRowBytes`;
    return { place, error: dataError(place, found, 'Shorten it, or raise maxRowBytes.') };
  }
  const text = decodeUtf8(bytes);
  if (text !== undefined) return parseRow(place, text);
  return { place, error: dataError(place, 'it is not valid UTF-8', 'Correct or remove it.') };
};

async function* readList(
  path: string,
  { maxRowBytes }: ReaderOptions,
): AsyncGenerator<Row, void, undefined> {
  const scanner = new JsonListScanner(maxRowBytes);
  for await (const chunk of readBytes(path)) {
    for (const element of scanner.push(chunk)) yield rowOf(path, element, maxRowBytes);
    if (scanner.trailing) {
      throw dataError(path, 'something follows the closing "]" of the list', 'Remove it.');
    }
  }
  if (scanner.ended) return;
  throw dataError(
    path,
    `the list ends in the middle of row ${scanner.rows + 1}`,
    'Fetch the file again.',
  );
}

/** The one list that an object holds: "data" or "rows" if there, else its only list. */
async function* readHolder(path: string): AsyncGenerator<Row, void, undefined> {
  const advice = 'Write one object a line (JSON Lines, .jsonl): that is read as a stream.';
  const text = decodeUtf8(await readAll(path, wholeFileBytes, advice));
  if (text === undefined) throw dataError(path, 'it is not valid UTF-8', 'Convert it to UTF-8.');
  const row = parseRow(path, text);
  if ('error' in row) throw row.error;
  const lists = Object.keys(row.value).filter((key) => Array.isArray(row.value[key]));
  const key =
    listNames.find((name) => lists.includes(name)) ?? (lists.length === 1 ? lists[0] : undefined);
  if (key === undefined) {
    throw dataError(
      path,
      `it holds one object with ${lists.length} lists, where a list of rows is expected`,
      'Put the rows into a list, into {"data": [...]}, or on a line each in a .jsonl file.',
    );
  }
  for (const [index, value] of (row.value[key] as unknown[]).entries()) {
    const place = `${path}, row ${index + 1}`;
    yield isObject(value)
      ? { place, value }
      : { place, error: wrongValue(place, 'the row', value, 'an object') };
  }
}

const firstCharacter = async (path: string): Promise<string | undefined> => {
  for await (const chunk of readBytes(path)) {
    const found = /[^\s\ufeff]/.exec(chunk.toString('utf8'));
    if (found) return found[0];
  }
  return undefined;
};

const listNames = ['data', 'rows', 'train'];

const isHolder = (value: JsonObject): boolean => {
  const lists = Object.values(value).filter((item) => Array.isArray(item));
  const named = listNames.some((key) => Array.isArray(value[key]));
  return named && lists.some((list) => list.length > 0 && list.every(isObject));
};

/** How the file starts: with a list, with lines of objects, or with one large object. */
const shapeOf = async (path: string): Promise<'list' | 'lines' | 'holder'> => {
  const start = await firstCharacter(path);
  if (start === '[') return 'list';
  if (start === undefined) throw dataError(path, 'it is empty', 'Fetch the file again.');
  if (start !== '{') {
    const found = `it starts with ${JSON.stringify(start)}, so it is not a list of rows`;
    throw dataError(path, found, 'Write a JSON list of objects, or JSON Lines.');
  }
  for await (const { text } of readLines(path, wholeFileBytes)) {
    if (text.trim() === '') continue;
    const row = parseRow(path, text);
    return 'error' in row || isHolder(row.value) ? 'holder' : 'lines';
  }
  return 'holder';
};

export async function* readJson(
  path: string,
  options: ReaderOptions,
): AsyncGenerator<Row, void, undefined> {
  const shape = await shapeOf(path);
  if (shape === 'list') yield* readList(path, options);
  else if (shape === 'lines') yield* readJsonl(path, options);
  else yield* readHolder(path);
}
