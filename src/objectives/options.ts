// What the user gave for an objective, checked against what the objective declares.
import { inspect } from 'node:util';
import { AlignlabError } from '../errors.js';
import { didYouMean } from '../suggest.js';
import type { OptionSpec } from './objective.js';

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type ValueOf<S extends OptionSpec> =
  | (S extends { readonly choices: readonly (infer Choice)[] }
      ? Choice
      : S['type'] extends 'number'
        ? number
        : S['type'] extends 'boolean'
          ? boolean
          : string)
  | (S['default'] extends null ? null : never);

/** The types of the values that `resolveOptions` returns: choices as a union, null only if declared. */
export type OptionValues<S extends OptionSpecs> = { readonly [K in keyof S]: ValueOf<S[K]> };

export type GivenOptions = Readonly<Record<string, unknown>>;

/** OPTION_INVALID in one form: which option of which objective, what was found, the way out. */
export const optionError = (
  objective: string,
  option: string,
  found: unknown,
  wayOut: string,
): AlignlabError =>
  new AlignlabError(
    'OPTION_INVALID',
    `The option "${option}" of ${objective} is ${inspect(found)}. ${wayOut}`,
  );

const range = ({ min, max, exclusive }: OptionSpec): string => {
  const bounds = [
    min === undefined ? '' : `${exclusive ? 'above' : 'at least'} ${min}`,
    max === undefined ? '' : `${exclusive ? 'below' : 'at most'} ${max}`,
  ].filter(Boolean);
  return bounds.length === 0 ? 'a number' : `a number ${bounds.join(' and ')}`;
};

const isInRange = (value: number, { min, max, exclusive }: OptionSpec): boolean =>
  Number.isFinite(value) &&
  (min === undefined || (exclusive ? value > min : value >= min)) &&
  (max === undefined || (exclusive ? value < max : value <= max));

/** In words, what the option takes: for errors, --help and the documentation. */
export const describeOption = (spec: OptionSpec): string => {
  const kind = spec.choices
    ? `one of ${spec.choices.join(', ')}`
    : spec.type === 'number'
      ? range(spec)
      : spec.type === 'boolean'
        ? 'true or false'
        : 'a string';
  return spec.default === null ? `${kind}, or null` : kind;
};

const accepts = (spec: OptionSpec, value: unknown): boolean => {
  if (value === null) return spec.default === null;
  if (typeof value !== spec.type) return false;
  if (typeof value === 'number') return isInRange(value, spec);
  return !spec.choices || (typeof value === 'string' && spec.choices.includes(value));
};

/**
 * Every declared option with its value: the given one, or the default where none (undefined) is
 * given. OPTION_INVALID for a key that is not declared and for a value out of type or range.
 */
export const resolveOptions = <const S extends OptionSpecs>(
  objective: string,
  specs: S,
  given: GivenOptions = {},
): OptionValues<S> => {
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(specs, key));
  if (unknown !== undefined) {
    const known = Object.keys(specs);
    throw new AlignlabError(
      'OPTION_INVALID',
      `${objective} has no option "${unknown}".${didYouMean(unknown, known)} ` +
        (known.length === 0 ? 'It takes none.' : `Its options are: ${known.join(', ')}.`),
    );
  }
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(specs)) {
    const value = given[key] === undefined ? spec.default : given[key];
    if (!accepts(spec, value)) {
      throw optionError(objective, key, value, `It must be ${describeOption(spec)}.`);
    }
    values[key] = value;
  }
  return values as OptionValues<S>;
};
