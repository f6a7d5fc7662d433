// The text that ships with the package: short fables, one a line, of which a few are kept unseen.
import { readFile } from 'node:fs/promises';

export interface Fables {
  readonly training: readonly string[];
  /** Every tenth fable: never trained on, so their loss shows what goes beyond memory. */
  readonly unseen: readonly string[];
}

export const readFables = async (): Promise<Fables> => {
  const text = await readFile(new URL('fables.txt', import.meta.url), 'utf8');
  const fables = text.split('\n').filter((line) => line !== '');
  const isUnseen = (index: number): boolean => index % 10 === 9;
  return {
    training: fables.filter((_, index) => !isUnseen(index)),
    unseen: fables.filter((_, index) => isUnseen(index)),
  };
};

const names = (
  'fox crow mouse lion bear frog goat hen wolf bee turtle rabbit dog cat donkey sheep duck fish ' +
  'bird'
).split(' ');

/** Animals that can take one another's place in a sentence (all take "a"). */
export const animals = { names, pattern: new RegExp(`\\b(?:${names.join('|')})\\b`, 'g') } as const;

/**
 * The most words in a row of `sample` that stand in one of the fables in the same order, whichever
 * animals are in the roles.
 */
export const longestCopiedRun = (sample: string, fables: readonly string[]): number => {
  const uncast = (text: string): string => text.replace(animals.pattern, 'animal');
  const words = uncast(sample)
    .split(/\s+/)
    .filter((word) => word !== '');
  const sources = fables.map((fable) => ` ${uncast(fable)} `);
  let longest = 0;
  for (let begin = 0; begin + longest < words.length; begin += 1) {
    for (let end = begin + longest + 1; end <= words.length; end += 1) {
      const run = ` ${words.slice(begin, end).join(' ')} `;
      if (!sources.some((source) => source.includes(run))) break;
      longest = end - begin;
    }
  }
  return longest;
};
