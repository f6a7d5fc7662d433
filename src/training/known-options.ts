// A misspelt option would be passed over in silence: it is refused with the nearest name.
import { AlignlabError } from '../errors.js';
import { didYouMean } from '../suggest.js';

/** Throws OPTION_INVALID for a key of `given` that is not known. */
export const refuseUnknown = (owner: string, given: object, known: readonly string[]): void => {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `${owner} has no option "${unknown}".${didYouMean(unknown, known)} It has ${known.join(', ')}.`,
  );
};
