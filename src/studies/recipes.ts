// What the recipes of all studies share: a scale has a name, and seeds can be counted.
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

/** From 1 on. Throws OPTION_INVALID. */
export const seedsOf = (count: number): number[] => {
  if (!(Number.isSafeInteger(count) && count >= 1 && count <= 100)) {
    refuse(`seeds must be a whole number from 1 to 100, got ${show(count)}.`);
  }
  return Array.from({ length: count }, (_, i) => i + 1);
};
