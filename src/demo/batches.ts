// Endless training batches of whole fables, each a sequence of its own length, without padding.
import type { Segment } from '../engine/batch.js';
import { animals } from './fables.js';

type Random = () => number;

/** xorshift32, as whole numbers from 1 to 2^32 - 1. */
const randomNumbers = (seed: number): Random => {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state;
  };
};

const shuffled = <Item>(items: readonly Item[], random: Random): Item[] => {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i -= 1) {
    const j = random() % (i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
};

/** The fable with its animals in other roles: a little text goes a longer way. */
const recast = (fable: string, random: Random): string => {
  const roles = shuffled(animals.names, random);
  return fable.replace(animals.pattern, (name) => roles[animals.names.indexOf(name)] ?? name);
};

/** All fables in a new order, then again; the seed decides orders and roles. */
export function* fableBatches(
  fables: readonly string[],
  encode: (fable: string) => Int32Array,
  { size, seed }: { readonly size: number; readonly seed: number },
): Generator<Segment[], never> {
  const random = randomNumbers(seed);
  let rest: string[] = [];
  for (;;) {
    const batch: Segment[] = [];
    while (batch.length < size) {
      if (rest.length === 0) rest = shuffled(fables, random);
      batch.push({ tokens: encode(recast(rest.pop() ?? '', random)) });
    }
    yield batch;
  }
}
