// One row of JSON text: an object without repeated keys.
import { isObject, type JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { dataError, type Row, wrongValue } from './row.js';

/** The index of the quote that closes the string opened at `start`. */
const closingQuote = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === '\\') ++escapes;
    if (escapes % 2 === 0) return end;
  }
};

const next = /["{}[\]]/g;

/** A key that an object (valid JSON) has twice: JSON.parse would keep the last without a word. */
const repeatedKey = (text: string): string | undefined => {
  const seen = new Set<string>();
  let depth = 0;
  next.lastIndex = 0;
  for (let match = next.exec(text); match; match = next.exec(text)) {
    if (match[0] !== '"') {
      depth += match[0] === '{' || match[0] === '[' ? 1 : -1;
      continue;
    }
    const end = closingQuote(text, match.index);
    next.lastIndex = end + 1;
    if (depth !== 1) continue;
    let after = end + 1;
    while (/\s/.test(text[after]!)) ++after;
    if (text[after] !== ':') continue;
    const key = JSON.parse(text.slice(match.index, end + 1)) as string;
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return undefined;
};

const parsed = (place: string, text: string): JsonObject => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw dataError(place, `it is not valid JSON (${reason})`, 'Correct or remove it.');
  }
  if (!isObject(value))
    throw wrongValue(place, 'the row', value, 'an object such as {"prompt": ...}');
  const repeated = repeatedKey(text);
  if (repeated === undefined) return value;
  throw dataError(place, `the key "${repeated}" is there twice`, 'Keep one of them.');
};

export const parseRow = (place: string, text: string): Row => {
  try {
    return { place, value: parsed(place, text) };
  } catch (error) {
    if (error instanceof AlignlabError) return { place, error };
    throw error;
  }
};
