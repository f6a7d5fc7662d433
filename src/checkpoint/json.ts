// JSON files of a checkpoint: bounded in size, strict UTF-8, always an object.
import { open } from 'node:fs/promises';
import { AlignlabError, type ErrorCode, fromSystem } from '../errors.js';

export type JsonObject = Readonly<Record<string, unknown>>;

/** What survives JSON.stringify and JSON.parse unchanged. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value as it stood in the file, cut short, for messages. */
export const show = (value: unknown): string => {
  if (value === undefined) return 'absent';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};

export const parseJsonObject = (bytes: Uint8Array, where: string, code: ErrorCode): JsonObject => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AlignlabError(
      code,
      `${where} is not valid JSON: ${reason}. Fetch or write the file again.`,
      { cause },
    );
  }
  if (isObject(value)) return value;
  throw new AlignlabError(
    code,
    `${where} must hold a JSON object, found ${show(value)}. Fetch or write the file again.`,
  );
};

export interface JsonFile {
  readonly text: string;
  readonly value: JsonObject;
}

const maxJsonBytes = 256 * 2 ** 20;

/** Reads a JSON object; null when the file does not exist. */
export const readJsonFile = async (path: string, code: ErrorCode): Promise<JsonFile | null> => {
  let bytes: Buffer;
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    if (size > maxJsonBytes) {
      throw new AlignlabError(
        code,
        `${path} has ${size} bytes, more than the ${maxJsonBytes} that any checkpoint needs. ` +
          'Check that it is the file you mean.',
      );
    }
    bytes = await file.readFile();
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw fromSystem(cause, `read ${path}`);
  }
  return { text: bytes.toString('utf8'), value: parseJsonObject(bytes, path, code) };
};
