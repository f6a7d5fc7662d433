// Work for a model that is cut into passes of limited size.

/**
 * Consecutive parts whose sizes add up to at most `budget`; an item that is larger has a part of
 * its own. The engine's results do not depend on the cut.
 */
export const byBudget = <Item>(
  items: readonly Item[],
  sizeOf: (item: Item) => number,
  budget: number,
): Item[][] => {
  const parts: Item[][] = [];
  let size = 0;
  for (const item of items) {
    const own = sizeOf(item);
    const part = parts.at(-1);
    if (part && size + own <= budget) {
      part.push(item);
      size += own;
    } else {
      parts.push([item]);
      size = own;
    }
  }
  return parts;
};

/** Tokens of one pass of judges and references. */
export const defaultPassTokens = 4096;

/** A text key of token ids. */
export const tokenKey = (tokens: Int32Array): string => tokens.join(',');
