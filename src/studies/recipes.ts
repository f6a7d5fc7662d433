// What the recipes of all studies share: a scale has a name, and seeds are counted or named.
import { show } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

/** Throws OPTION_INVALID where there is no such scale. */
export const recipeNamed = <Recipe>(
  recipes: Readonly<Record<string, Recipe>>,
  scale: string,
): Recipe =>
  Object.hasOwn(recipes, scale)
    ? recipes[scale]!
    : refuse(
        `There is no recipe for the scale ${show(scale)}; there are ${Object.keys(recipes).join(', ')}.`,
      );

/** How many, from 1 on, or which. */
export type SeedChoice = number | readonly number[];

const mostSeeds = 100;

/** Throws OPTION_INVALID. */
export const seedsOf = (choice: SeedChoice): readonly number[] => {
  if (typeof choice === 'number') {
    if (!(Number.isSafeInteger(choice) && choice >= 1 && choice <= mostSeeds)) {
      refuse(`seeds must be a whole number from 1 to ${mostSeeds}, got ${show(choice)}.`);
    }
    return Array.from({ length: choice }, (_, i) => i + 1);
  }
  const areSeeds = choice.every((seed) => Number.isSafeInteger(seed) && seed >= 0);
  const { size } = new Set(choice);
  if (!areSeeds || size === 0 || size > mostSeeds || size < choice.length) {
    refuse(`seeds must be up to ${mostSeeds} different whole numbers, got ${show(choice)}.`);
  }
  return choice;
};
