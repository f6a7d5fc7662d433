// Option objects at the edge: a misspelt option would be passed over in silence, so it is refused,
// with the nearest name.
import { AlignlabError } from './errors.js';
import { didYouMean } from './suggest.js';

/** Every option by its name; one that is missing does not compile. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

/** Throws OPTION_INVALID for a key of `given` that is not known. */
export const refuseUnknown = <Options extends object>(
  owner: string,
  given: Options,
  names: OptionNames<NoInfer<Options>>,
): void => {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(names, name));
  if (unknown === undefined) return;
  const known = Object.keys(names);
  throw new AlignlabError(
    'OPTION_INVALID',
    `${owner} has no option "${unknown}".${didYouMean(unknown, known)} It has ${known.join(', ')}.`,
  );
};

/** Throws OPTION_INVALID unless the value is a whole number from `least` up. */
export const requireWhole = (name: string, value: unknown, least = 1): void => {
  if (Number.isSafeInteger(value) && (value as number) >= least) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `${name} must be a whole number from ${least} up, got ${String(value)}.`,
  );
};
