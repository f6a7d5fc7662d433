// Values of a row by key, checked: text is text, never a number or null that becomes "7" or "null".
import { isObject } from '../../checkpoint/json.js';
import type { Message, Text } from '../../text/example.js';
import { dataError, missingKey, wrongValue } from '../row.js';
import type { FormatRow } from './format.js';

export const has = (value: Readonly<Record<string, unknown>>, ...keys: string[]): boolean =>
  keys.every((key) => value[key] !== undefined);

/** Neither absent, null, '' nor an empty list. */
export const isFilled = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== '';

const present = ({ place, value }: FormatRow, key: string): unknown => {
  const found = value[key];
  if (found === undefined) throw missingKey(place, key, value);
  return found;
};

export const textAt = (row: FormatRow, key: string): string => {
  const found = present(row, key);
  if (typeof found !== 'string') throw wrongValue(row.place, key, found, 'text');
  return found;
};

/** Absent and null are ''. */
export const optionalTextAt = (row: FormatRow, key: string): string =>
  row.value[key] === undefined || row.value[key] === null ? '' : textAt(row, key);

export const numberAt = (row: FormatRow, key: string): number => {
  const found = present(row, key);
  // In CSV, every cell is text.
  const number = typeof found === 'string' && found.trim() !== '' ? Number(found) : found;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw wrongValue(row.place, key, found, 'a number');
};

const truths: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
  ['1', true],
  ['0', false],
]);

/** true or false, also as 1 or 0, or in words, as CSV has them. */
export const labelAt = (row: FormatRow, key: string): boolean => {
  const found = present(row, key);
  const word = typeof found === 'string' ? found.trim().toLowerCase() : JSON.stringify(found);
  const label = truths.get(word);
  if (label === undefined) throw wrongValue(row.place, key, found, 'true or false');
  return label;
};

/** Names of the speakers in ShareGPT and OpenAssistant files. */
const speakers: ReadonlyMap<string, string> = new Map([
  ['human', 'user'],
  ['user', 'user'],
  ['prompter', 'user'],
  ['gpt', 'assistant'],
  ['chatgpt', 'assistant'],
  ['bot', 'assistant'],
  ['assistant', 'assistant'],
  ['model', 'assistant'],
  ['system', 'system'],
  ['observation', 'tool'],
  ['tool', 'tool'],
]);

export const roleOf = (place: string, key: string, speaker: unknown): string => {
  const role = typeof speaker === 'string' ? speakers.get(speaker.toLowerCase()) : undefined;
  if (role !== undefined) return role;
  throw wrongValue(place, key, speaker, 'a speaker (human, gpt, system …)');
};

/** Content as text, or as the list of parts that some servers write. */
const contentOf = (place: string, key: string, content: unknown): string => {
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? content : [];
  const texts = parts.map((part: unknown) =>
    isObject(part) && part.type === 'text' && typeof part.text === 'string' ? part.text : undefined,
  );
  if (parts.length > 0 && texts.every((text) => text !== undefined)) return texts.join('');
  throw wrongValue(place, key, content, 'text');
};

const messageOf = (place: string, key: string, item: unknown): Message => {
  if (!isObject(item)) throw wrongValue(place, key, item, 'a message {role, content}');
  if (has(item, 'role') && typeof item.role === 'string') {
    if (Array.isArray(item.tool_calls) && item.tool_calls.length > 0) {
      throw dataError(
        `${place}, "${key}"`,
        'the message calls tools, which is not supported',
        "Leave such rows out with onBadRow: 'skip'.",
      );
    }
    return { role: item.role, content: contentOf(place, `${key}.content`, item.content ?? null) };
  }
  if (has(item, 'from')) {
    const role = roleOf(place, `${key}.from`, item.from);
    return { role, content: contentOf(place, `${key}.value`, item.value ?? null) };
  }
  throw wrongValue(place, key, item, 'a message {role, content} or {from, value}');
};

/** A list of messages, or a single one. */
export const messagesAt = (row: FormatRow, key: string): readonly Message[] => {
  const found = present(row, key);
  if (isObject(found)) return [messageOf(row.place, key, found)];
  if (!Array.isArray(found) || found.length === 0) {
    throw wrongValue(row.place, key, found, 'a list of messages');
  }
  return found.map((item, i) => messageOf(row.place, `${key}[${i}]`, item));
};

export const textOrMessagesAt = (row: FormatRow, key: string): Text => {
  const found = present(row, key);
  if (typeof found === 'string') return found;
  if (isObject(found) || Array.isArray(found)) return messagesAt(row, key);
  throw wrongValue(row.place, key, found, 'text or a list of messages');
};
