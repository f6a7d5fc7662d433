// Ablations of lists: of examples, records, prompts, or anything else that has an order.
import { permutation, uniform } from '../data/random.js';
import { checkWeights, interleave } from '../data/mixture.js';
import { windowPermutation } from '../data/windows.js';
import { AlignlabError } from '../errors.js';

export const optionError = (message: string): AlignlabError =>
  new AlignlabError('OPTION_INVALID', message);

/** @throws DATA_INVALID where a judge left no pair at all. */
export const requireSome = (
  pairs: readonly unknown[],
  judge: string,
  { ties, failed }: { readonly ties: number; readonly failed: number },
): void => {
  if (pairs.length > 0) return;
  throw new AlignlabError(
    'DATA_INVALID',
    `The judge "${judge}" left no pair: ${ties} ties and ${failed} failures. Check the judge, or ` +
      "resolve ties by ties: 'random'.",
  );
};

/** In batches of `size`, the last one shorter where it does not come out even. */
export const batchesOf = <T>(items: readonly T[], size: number): T[][] => {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw optionError(`The size of a batch must be a whole number from 1, got ${size}.`);
  }
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
};

export interface ShuffleWindowsOptions {
  /** Consecutive batches whose items change places; Infinity shuffles all of them uniformly. */
  readonly window: number;
  readonly seed: number | bigint;
  /** Default 0. */
  readonly epoch?: number;
}

/** The same items in batches of the same sizes, shuffled within windows (Tang et al. 2024, app. G). */
export const shuffleWindows = <T>(
  batches: readonly (readonly T[])[],
  { window, seed, epoch = 0 }: ShuffleWindowsOptions,
): T[][] => {
  if (window !== Infinity && !(Number.isSafeInteger(window) && window >= 1)) {
    throw optionError(
      `window must be a whole number of batches from 1, or Infinity, got ${window}.`,
    );
  }
  let end = 0;
  const ends = batches.map((batch) => (end += batch.length));
  const items = batches.flat();
  const order = windowPermutation(ends, window, seed, epoch);
  return batches.map((batch, b) =>
    Array.from(order.subarray(ends[b]! - batch.length, ends[b]), (place) => items[place]!),
  );
};

export interface SubsampleOptions<T> {
  /** A fraction between 0 and 1, of which the nearest whole number is taken, or a number of items. */
  readonly share: number;
  readonly seed: number | bigint;
  /** Thins out these only, such as the completions with label false; the others all stay. */
  readonly among?: (item: T) => boolean;
  /** Items of one group, such as the pairs of a prompt, stay or go together; the share is of groups. */
  readonly by?: (item: T) => string;
}

/** How many of `all` a share is. */
const amount = (share: number, all: number): number => {
  const valid = share > 0 && (share < 1 || Number.isSafeInteger(share));
  if (!valid) {
    throw optionError(`share must be a fraction between 0 and 1 or a whole number, got ${share}.`);
  }
  const count = share < 1 ? Math.round(share * all) : share;
  if (count <= all) return count;
  throw optionError(`share asks for ${count}, but there are ${all}. Ask for fewer.`);
};

/** A random part in the order of the whole: an exact number, each such part as likely. */
export const subsampleItems = <T>(
  items: readonly T[],
  { share, seed, among = () => true, by }: SubsampleOptions<T>,
): T[] => {
  const groupOf = (item: T, place: number): string => by?.(item) ?? String(place);
  const groups = new Set(items.flatMap((item, i) => (among(item) ? [groupOf(item, i)] : [])));
  const names = [...groups];
  const order = permutation(names.length, seed, 'subsample');
  const taken = order.subarray(0, amount(share, names.length));
  const kept = new Set(Array.from(taken, (place) => names[place]!));
  return items.filter((item, i) => !among(item) || kept.has(groupOf(item, i)));
};

export interface MixedPart<T> {
  readonly items: readonly T[];
  /** Relative to the other parts. Default 1. */
  readonly weight?: number;
}

export interface MixOptions {
  readonly seed: number | bigint;
  /**
   * all: every item once. first: until a part is used up, so that the proportions hold to the end.
   * A number: that many items, or an error where a part is used up before. Default 'all'.
   */
  readonly until?: 'all' | 'first' | number;
}

// eslint-disable-next-line @typescript-eslint/require-await -- what is mixed is asynchronous
async function* each<T>(items: readonly T[]): AsyncGenerator<T, void, undefined> {
  yield* items;
}

/** Items of several lists, each in its order, interleaved at random by weight. */
export const mix = async <T>(
  parts: readonly MixedPart<T>[],
  { seed, until = 'all' }: MixOptions,
): Promise<T[]> => {
  checkWeights(parts.map(({ weight }) => weight));
  const size = typeof until === 'number' ? until : Infinity;
  const streams = parts.map(({ items, weight }) => ({ items: each(items), weight }));
  const mixed: T[] = [];
  for await (const item of interleave(streams, {
    seed,
    until: until === 'all' ? 'all' : 'first',
  })) {
    if (mixed.length >= size) break;
    mixed.push(item);
  }
  if (size === Infinity || mixed.length === size) return mixed;
  throw optionError(
    `A part of the mixture was used up after ${mixed.length} of ${size} items. Ask for fewer, or ` +
      'change the weights.',
  );
};

/** Is item number `place` among the share that is changed? A function of seed and place. */
export const drawn = (
  fraction: number,
  seed: number | bigint,
  purpose: string,
  place: number,
): boolean => uniform(seed, purpose, place) < fraction;

export const checkFraction = (name: string, fraction: number): void => {
  if (fraction >= 0 && fraction <= 1) return;
  throw optionError(`${name} must be a number from 0 to 1, got ${fraction}.`);
};
