// "Did you mean …?": the known name that is the fewest edits away from what was typed.

/** Levenshtein distance, a transposition of neighbours counting one (optimal string alignment). */
const editDistance = (from: string, to: string): number => {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const change = from[i - 1] === to[j - 1] ? 0 : 1;
      let cost = Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + change);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        cost = Math.min(cost, beforePrevious[j - 2]! + 1);
      }
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[to.length]!;
};

// snake_case, kebab-case and camelCase of one name are the same name to whoever typed it.
const plain = (name: string): string => name.replace(/[-_\s]/g, '').toLowerCase();

/** The nearest of the known names, or undefined when none is near (over 40 % would change). */
export const nearestName = (name: string, known: Iterable<string>): string | undefined => {
  let best: { name: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(plain(name), plain(candidate));
    if (distance > 0.4 * Math.max(name.length, candidate.length)) continue;
    if (!best || distance < best.distance) best = { name: candidate, distance };
  }
  return best?.name;
};

/** ' Did you mean "beta"?', or nothing: to be put after a sentence that names the unknown. */
export const didYouMean = (name: string, known: Iterable<string>): string => {
  const nearest = nearestName(name, known);
  return nearest === undefined ? '' : ` Did you mean "${nearest}"?`;
};
