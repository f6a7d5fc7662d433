// JSON as the files of a run write it. Standard JSON has no NaN, no infinities and, as JavaScript
// writes it, no -0; logs and manifests write the first as strings, states must hold none of them.
import { readFile } from 'node:fs/promises';
import { type JsonObject, type JsonValue, parseJsonObject } from '../checkpoint/json.js';
import { AlignlabError, fromSystem } from '../errors.js';

const writable = (_key: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return String(value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
};

/** For people and reports: numbers that JSON lacks become the strings 'NaN', 'Infinity' … */
export const toJsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, writable, indent);

/** What reading `toJsonText` back gives. */
export const asWritten = (value: JsonObject): JsonObject =>
  JSON.parse(toJsonText(value)) as JsonObject;

const isPlain = (value: unknown): value is Readonly<Record<string, JsonValue>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

const nameOf = (value: unknown): string =>
  typeof value === 'object' && value !== null ? `a ${value.constructor.name}` : String(value);

/**
 * A state in one line, such that JSON.parse gives back the same value bit for bit. Throws
 * RUN_INVALID, naming the place, for what JSON cannot hold.
 */
export const exactJson = (value: JsonValue, place: string): string => {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') {
    return JSON.stringify(value);
  }
  if (typeof value === 'number' && Number.isFinite(value)) {
    return Object.is(value, -0) ? '-0' : JSON.stringify(value);
  }
  if (value instanceof Array) {
    return `[${value.map((item: JsonValue, i) => exactJson(item, `${place}[${i}]`)).join()}]`;
  }
  if (isPlain(value)) {
    const entries = Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => `${JSON.stringify(key)}:${exactJson(item, `${place}.${key}`)}`);
    return `{${entries.join()}}`;
  }
  throw new AlignlabError(
    'RUN_INVALID',
    `${place} is ${nameOf(value)}, which JSON cannot hold, so that a resumed run would differ. ` +
      'A state must be made of finite numbers, strings, booleans, null, lists and plain objects.',
  );
};

/** Where two JSON values differ, as paths like 'optimizer.betas'. */
export const differences = (a: unknown, b: unknown, place = ''): string[] => {
  const isTree = (value: unknown): value is object => typeof value === 'object' && value !== null;
  if (!isTree(a) || !isTree(b) || Array.isArray(a) || Array.isArray(b)) {
    return JSON.stringify(a) === JSON.stringify(b) ? [] : [place];
  }
  const [left, right] = [new Map(Object.entries(a)), new Map(Object.entries(b))];
  return [...new Set([...left.keys(), ...right.keys()])].flatMap((key) =>
    differences(left.get(key), right.get(key), place ? `${place}.${key}` : key),
  );
};

/** The objects of a .jsonl file. A last line without its end, of a killed process, is left out. */
export const readJsonLines = async (path: string): Promise<JsonObject[]> => {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw fromSystem(cause, `read ${path}`);
  });
  const lines = bytes.toString('utf8').split('\n').slice(0, -1);
  return lines.map((line, i) =>
    parseJsonObject(Buffer.from(line), `${path}:${i + 1}`, 'RUN_INVALID'),
  );
};
