// Random numbers as a pure function of a seed and of names for what they decide: the same keys give
// the same numbers, whatever else was drawn before, between or elsewhere. The generator is
// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
import { AlignlabError } from '../errors.js';

/** What a stream is for: ('shuffle', epoch), ('sample', step, row). Whole numbers or text. */
export type RandomKey = number | bigint | string;

type Words = readonly [number, number, number, number];

const highOfProduct = (a: number, b: number): number => {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const cross = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000)) >>> 0;
};

/** Philox4x32-10: 128 bits of counter under 64 bits of key to 128 random bits. */
export const philox = (counter: Words, key: readonly [number, number]): Words => {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; ++round) {
    const [high0, low0] = [highOfProduct(c0, 0xd2511f53), Math.imul(c0, 0xd2511f53)];
    const [high1, low1] = [highOfProduct(c2, 0xcd9e8d57), Math.imul(c2, 0xcd9e8d57)];
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1 >>> 0, (high0 ^ c3 ^ k1) >>> 0, low0 >>> 0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
};

// The third word of the counter says what a block is for, so that no two uses can meet.
const domain = { number: 1, text: 2, draw: 3 } as const;

const halves = (value: number | bigint): readonly [number, number] => {
  if (typeof value === 'bigint') {
    return [Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n))];
  }
  if (Number.isSafeInteger(value)) return [value >>> 0, Math.floor(value / 2 ** 32) >>> 0];
  throw new AlignlabError(
    'OPTION_INVALID',
    `A seed or random key must be a whole number, a bigint or text, got ${value}.`,
  );
};

type Key = readonly [number, number];

const fold = (key: Key, next: RandomKey): Key => {
  if (typeof next !== 'string') {
    const [low, high] = halves(next);
    const [a, b] = philox([low, high, domain.number, 0], key);
    return [a, b];
  }
  let folded = key;
  for (let at = 0; at === 0 || at < next.length; at += 4) {
    const unit = (i: number): number => (at + i < next.length ? next.charCodeAt(at + i) : 0);
    const words = [(unit(0) | (unit(1) << 16)) >>> 0, (unit(2) | (unit(3) << 16)) >>> 0] as const;
    const [a, b] = philox([...words, domain.text, next.length], folded);
    folded = [a, b];
  }
  return folded;
};

/** A sequence of draws. Two streams of the same keys give the same numbers. */
export class RandomStream {
  readonly #key: Key;
  #block = 0;
  #words: Words = [0, 0, 0, 0];
  #left = 0;

  constructor(seed: number | bigint, keys: readonly RandomKey[]) {
    this.#key = keys.reduce<Key>(fold, halves(seed));
  }

  #word(): number {
    if (this.#left === 0) {
      const [low, high] = halves(this.#block++);
      this.#words = philox([low, high, domain.draw, 0], this.#key);
      this.#left = 4;
    }
    return this.#words[4 - this.#left--]!;
  }

  /** In [0, 1), a multiple of 2^-53. */
  uniform(): number {
    const high = this.#word() >>> 5;
    return (high * 2 ** 26 + (this.#word() >>> 6)) / 2 ** 53;
  }

  /** A whole number from 0 to n - 1, each exactly as likely. n at most 2^53. */
  below(n: number): number {
    if (!Number.isSafeInteger(n) || n < 1) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `A random whole number below ${n} was asked for; the limit must be a whole number from 1.`,
      );
    }
    // Values past the last multiple of n would make the first remainders likelier: drawn again.
    const range = n <= 2 ** 32 ? 2 ** 32 : 2 ** 53;
    const limit = range - (range % n);
    for (;;) {
      const value = range === 2 ** 32 ? this.#word() : this.uniform() * 2 ** 53;
      if (value < limit) return value % n;
    }
  }

  /** Standard normal, by Box and Muller. */
  gaussian(): number {
    const radius = Math.sqrt(-2 * Math.log1p(-this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }
}

/** The stream that belongs to these keys. */
export const random = (seed: number | bigint, ...keys: readonly RandomKey[]): RandomStream =>
  new RandomStream(seed, keys);

/** The first uniform number of a stream: one decision as a function of its keys. */
export const uniform = (seed: number | bigint, ...keys: readonly RandomKey[]): number =>
  new RandomStream(seed, keys).uniform();

/** A seed for something that takes one, unlike that of any other keys. */
export const derivedSeed = (seed: number | bigint, ...keys: readonly RandomKey[]): bigint => {
  const stream = new RandomStream(seed, keys);
  return (BigInt(stream.below(2 ** 32)) << 32n) | BigInt(stream.below(2 ** 32));
};

/** 0 to n - 1 in random order, each order as likely (Fisher and Yates). */
export const permutation = (
  n: number,
  seed: number | bigint,
  ...keys: readonly RandomKey[]
): Uint32Array => {
  const stream = new RandomStream(seed, keys);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let last = n - 1; last > 0; --last) {
    const chosen = stream.below(last + 1);
    [order[last], order[chosen]] = [order[chosen]!, order[last]!];
  }
  return order;
};

/** A new list of the items in random order. */
export const shuffled = <T>(
  items: readonly T[],
  seed: number | bigint,
  ...keys: readonly RandomKey[]
): T[] => Array.from(permutation(items.length, seed, ...keys), (i) => items[i]!);
