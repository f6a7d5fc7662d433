// Where values come from: the defaults of the command, a YAML file, flags; later ones win.
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { AlignlabError, fromSystem } from '../../errors.js';
import type { KeyKind } from './key.js';

export interface Layer {
  /** As messages name it: 'dpo.yaml', 'flags'. */
  readonly from: string;
  readonly values: Readonly<Record<string, unknown>>;
}

export const invalid = (message: string): AlignlabError =>
  new AlignlabError('OPTION_INVALID', message);

export const snake = (name: string): string =>
  name.replace(/-/g, '_').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export const kebab = (name: string): string => snake(name).replace(/_/g, '-');

/** How a message names the place of a key: --beta, or beta in dpo.yaml. */
export const placeOf = (key: string, from: string): string =>
  from === 'flags' ? `--${kebab(key)}` : `${key} in ${from}`;

export const readYamlLayer = async (path: string): Promise<Layer> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw fromSystem(cause, `read the configuration ${path}`);
  }
  let values: unknown;
  try {
    values = parse(text) ?? {};
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AlignlabError('OPTION_INVALID', `${path} is not YAML: ${reason.trim()}`, { cause });
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw invalid(`${path} must hold keys with values, such as "learning_rate: 1e-6".`);
  }
  const flat: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) flat[snake(key)] = value;
  return { from: path, values: flat };
};

/** The value of a flag; what cannot be read stays text, for the schema to refuse by name. */
export const fromFlag = (kind: KeyKind, text: unknown): unknown => {
  if (typeof text !== 'string') return text;
  if (kind === 'text') return text;
  const lower = text.trim().toLowerCase();
  if (kind === 'boolean' || lower === 'true' || lower === 'false') {
    return lower === 'true' ? true : lower === 'false' ? false : text;
  }
  if (lower === 'null') return null;
  if (kind === 'number') return lower === '' || Number.isNaN(Number(lower)) ? text : Number(lower);
  try {
    return parse(text);
  } catch {
    return text;
  }
};

/** YAML 1.1 programs write 1e-6 as text, and Python None; both are taken as meant. */
export const fromYaml = (kind: KeyKind, value: unknown): unknown => {
  if (value === 'None') return null;
  if (kind !== 'number' || typeof value !== 'string') return value;
  return fromFlag('number', value);
};
