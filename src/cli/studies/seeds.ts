// --seeds: how many, or which.
import { AlignlabError } from '../../errors.js';
import type { SeedChoice } from '../../studies/recipes.js';

export type { SeedChoice } from '../../studies/recipes.js';

export const seedsHelp = 'how many, or which: 3, or 11,12, or 31-35 (default: of the scale)';

/** 'a' or 'a-b' */
const rangeOf = (text: string): number[] => {
  const [, first, last = first] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(text.trim()) ?? [];
  const length = Number(last) - Number(first) + 1;
  if (length >= 1 && length <= 1000) {
    return Array.from({ length }, (_, i) => Number(first) + i);
  }
  throw new AlignlabError(
    'OPTION_INVALID',
    `--seeds takes how many, such as 3, or which, such as 11,12 or 31-35; got "${text}".`,
  );
};

/** The value of the flag: a number alone says how many, a list or a range says which. */
export const seedChoice = (text: string): SeedChoice => {
  const seeds = text.split(',').flatMap(rangeOf);
  return /[,-]/.test(text) ? seeds : seeds[0]!;
};

/** What seedChoice reads as the same. */
export const seedsText = (choice: SeedChoice): string => {
  if (typeof choice === 'number') return String(choice);
  return choice.length === 1 ? `${choice[0]!}-${choice[0]!}` : choice.join();
};
