// A row of a data file before its meaning is known, and the errors that name it.
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { nearestName } from '../suggest.js';

/** Where a row stands, 'pairs.jsonl:17', with what was read there or why it could not be. */
export type Row =
  | { readonly place: string; readonly value: JsonObject }
  | { readonly place: string; readonly error: AlignlabError };

export const dataError = (place: string, found: string, wayOut: string): AlignlabError =>
  new AlignlabError('DATA_INVALID', `${place}: ${found}. ${wayOut}`);

/** What other sets call the same thing. */
const synonyms: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    prompt: ['instruction', 'question', 'query', 'input', 'context', 'user', 'post'],
    chosen: ['preferred', 'accepted', 'better', 'winner', 'positive', 'response_chosen'],
    rejected: ['dispreferred', 'worse', 'loser', 'negative', 'response_rejected'],
    completion: ['response', 'output', 'answer', 'summary', 'assistant'],
    label: ['kto_tag', 'rating', 'good', 'desirable'],
    messages: ['conversations', 'conversation', 'dialog', 'dialogue', 'turns'],
    text: ['content', 'story', 'document', 'body'],
  }),
);

const quoted = (keys: readonly string[]): string =>
  keys.length === 0 ? 'no keys' : keys.map((key) => JSON.stringify(key)).join(', ');

/** "It has "promt", "chosen"." with the key that was probably meant. */
export const missingKey = (place: string, key: string, value: JsonObject): AlignlabError => {
  const found = Object.keys(value);
  const meant =
    nearestName(key, found) ?? (synonyms.get(key) ?? []).find((synonym) => found.includes(synonym));
  return dataError(
    place,
    `there is no "${key}"; the row has ${quoted(found.slice(0, 12))}`,
    meant === undefined
      ? `Add the key, or say which column it is with columns: { ${key}: '...' }.`
      : `Is it "${meant}"? Rename it, or pass columns: { ${key}: '${meant}' }.`,
  );
};

const kindOf = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
};

/** `"prompt" is 7 (a number) where text is expected.` */
export const wrongValue = (
  place: string,
  key: string,
  value: unknown,
  expected: string,
): AlignlabError => {
  const text = JSON.stringify(value) ?? String(value);
  const shown = text.length > 60 ? `${text.slice(0, 57)}...` : text;
  const what = value === null ? 'null' : `${shown} (${kindOf(value)})`;
  return dataError(
    place,
    `"${key}" is ${what} where ${expected} is expected`,
    "Correct the row, or leave such rows out with onBadRow: 'skip'.",
  );
};
