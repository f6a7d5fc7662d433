// Several datasets as one, interleaved at random in proportion to weights.
import { AlignlabError } from '../errors.js';
import { type Dataset, derived } from './dataset.js';
import { uniform } from './random.js';

export interface MixturePart {
  readonly dataset: Dataset;
  /** Relative: how often a record comes from here while all have some left. Default 1. */
  readonly weight?: number | undefined;
}

export interface MixtureOptions {
  readonly seed: number | bigint;
  /**
   * all: every record comes once; when a part is used up, the rest goes on. first: stops when the
   * first part is used up, so that the proportions hold to the end. Default all.
   */
  readonly until?: 'all' | 'first' | undefined;
}

/** @throws OPTION_INVALID */
export const checkWeights = (weights: readonly (number | undefined)[]): void => {
  if (weights.length === 0) {
    throw new AlignlabError('OPTION_INVALID', 'A mixture needs at least one dataset.');
  }
  for (const [i, weight = 1] of weights.entries()) {
    if (Number.isFinite(weight) && weight > 0) continue;
    throw new AlignlabError(
      'OPTION_INVALID',
      `The weight of dataset ${i + 1} of the mixture must be a number above 0, got ${weight}.`,
    );
  }
};

const check = (parts: readonly MixturePart[]): void => {
  checkWeights(parts.map(({ weight }) => weight));
  for (const [i, { dataset }] of parts.entries()) {
    const { kind } = parts[0]!.dataset;
    if (dataset.kind === kind) continue;
    throw new AlignlabError(
      'DATA_INVALID',
      `Dataset ${i + 1} of the mixture holds records of kind "${dataset.kind}", the first one ` +
        `"${kind}". Convert one of them, or mix sources of examples instead.`,
    );
  }
};

/** Draws the next item from part i with probability weight i over the weights of what is not used up. */
export async function* interleave<T>(
  parts: readonly { readonly items: AsyncIterable<T>; readonly weight?: number | undefined }[],
  { seed, until = 'all' }: MixtureOptions,
): AsyncGenerator<T, void, undefined> {
  let open = parts.map(({ items, weight = 1 }) => ({
    weight,
    items: items[Symbol.asyncIterator]() as AsyncIterator<T, void>,
  }));
  try {
    for (let draw = 0; open.length > 0; ++draw) {
      const total = open.reduce((sum, { weight }) => sum + weight, 0);
      let rest = uniform(seed, 'mixture', draw) * total;
      // Rounding can leave a rest after the last one.
      const part = open.find(({ weight }) => (rest -= weight) < 0) ?? open.at(-1)!;
      const next = await part.items.next();
      if (next.done !== true) yield next.value;
      else if (until === 'first') return;
      else open = open.filter((other) => other !== part);
    }
  } finally {
    for (const { items } of open) await items.return?.();
  }
}

export const mixture = (parts: readonly MixturePart[], options: MixtureOptions): Dataset => {
  check(parts);
  const { seed, until = 'all' } = options;
  const sizes = parts.map(({ dataset }) => dataset.size);
  const items = parts.map(({ dataset, weight }) => ({ items: dataset, weight }));
  const known = until === 'all' && sizes.every((size) => size !== undefined);
  return derived(
    parts.map(({ dataset }) => dataset),
    {
      size: known ? sizes.reduce((sum, size) => sum + size, 0) : undefined,
      description: { mixture: parts.map(({ weight = 1 }) => weight), seed: String(seed), until },
      iterate: () => interleave(items, options),
    },
  );
};
