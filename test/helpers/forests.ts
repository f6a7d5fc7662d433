// Random forests, and the same texts written out as separate full sequences.
import type { Segment } from '../../src/engine/batch.js';
import { randomNumbers } from '../checkpoint/helpers.js';

export type Random = () => number;

export const whole = (random: Random, least: number, most: number): number =>
  least + Math.floor(random() * (most - least + 1));

export const randomTokens = (random: Random, length: number, vocab: number): Int32Array =>
  Int32Array.from({ length }, () => whole(random, 0, vocab - 1));

/** In (-1, 1). */
export const randomFloats = (random: Random, length: number): Float32Array =>
  Float32Array.from({ length }, () => 2 * random() - 1);

export type TokenSegment = Segment & { readonly tokens: Int32Array };

const pathLengths = (forest: readonly Segment[]): number[] => {
  const lengths: number[] = [];
  for (const { tokens, parent } of forest) {
    lengths.push(tokens.length + (parent === undefined ? 0 : lengths[parent]!));
  }
  return lengths;
};

/**
 * Roots, chains, siblings and groups in random order; lengths lie on both sides of 64, the size of
 * a page of keys and values. Some segments are not scored.
 */
export const randomForest = (
  seed: number,
  {
    segments = 12,
    vocab = 320,
    maxPosition = 128,
  }: { segments?: number; vocab?: number; maxPosition?: number } = {},
): TokenSegment[] => {
  const random = randomNumbers(seed);
  const forest: TokenSegment[] = [];
  while (forest.length < segments) {
    const lengths = pathLengths(forest);
    const parent =
      forest.length > 0 && random() < 0.75 ? whole(random, 0, forest.length - 1) : undefined;
    const room = maxPosition - (parent === undefined ? 0 : lengths[parent]!);
    if (room < 1) continue;
    const long = random() < 0.3 ? whole(random, 60, 70) : whole(random, 1, 20);
    const tokens = randomTokens(random, Math.min(room, long), vocab);
    forest.push({
      tokens,
      scored: random() < 0.8,
      ...(parent === undefined ? {} : { parent }),
    });
  }
  return forest;
};

/** Tokens from the root to the end of the segment. */
export const pathTo = (forest: readonly TokenSegment[], segment: number): Int32Array => {
  const { tokens, parent } = forest[segment]!;
  return parent === undefined ? tokens : Int32Array.from([...pathTo(forest, parent), ...tokens]);
};

/** One sequence per scored segment: its whole path, of which the segment is the end. */
export const asSequences = (
  forest: readonly TokenSegment[],
): { readonly segment: number; readonly tokens: Int32Array }[] =>
  forest.flatMap(({ scored = true }, segment) =>
    scored ? [{ segment, tokens: pathTo(forest, segment) }] : [],
  );

/** How many results a segment has: a root's first token has none. */
export const resultsOf = ({ tokens, parent, scored = true }: TokenSegment): number =>
  scored ? tokens.length - (parent === undefined ? 1 : 0) : 0;

/** The segments in another order that keeps parents before children; `from[i]` was segment i. */
export const reordered = (
  forest: readonly TokenSegment[],
  seed: number,
): { readonly forest: TokenSegment[]; readonly from: number[] } => {
  const random = randomNumbers(seed);
  const place = new Map<number, number>();
  const from: number[] = [];
  while (from.length < forest.length) {
    const ready = [...forest.keys()].filter((s) => {
      const { parent } = forest[s]!;
      return !place.has(s) && (parent === undefined || place.has(parent));
    });
    const next = ready[whole(random, 0, ready.length - 1)]!;
    place.set(next, from.length);
    from.push(next);
  }
  return {
    from,
    forest: from.map((s) => {
      const { parent, ...rest } = forest[s]!;
      return parent === undefined ? rest : { ...rest, parent: place.get(parent)! };
    }),
  };
};
