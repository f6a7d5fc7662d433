// Known answers of Philox, uniformity, and independence of streams.
import test from 'ava';
import {
  derivedSeed,
  permutation,
  philox,
  random,
  shuffled,
  uniform,
} from '../../src/data/random.js';
import { assertError, caught } from '../checkpoint/helpers.js';

test('philox gives the published known answers', (t) => {
  const ones = 0xffffffff;
  t.deepEqual(philox([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  t.deepEqual(
    philox([ones, ones, ones, ones], [ones, ones]),
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  );
  t.deepEqual(
    philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  );
});

/** Chi-square over equal bins; 99.99 % quantile of the normal approximation is df + 3.9 sqrt(2 df). */
const chiSquare = (counts: readonly number[], draws: number): number =>
  counts.reduce((sum, count) => sum + (count - draws / counts.length) ** 2, 0) /
  (draws / counts.length);
const bound = (bins: number): number => bins - 1 + 3.9 * Math.sqrt(2 * (bins - 1));

test('uniform numbers fill [0, 1) evenly, along a stream and across streams', (t) => {
  const draws = 40_000;
  const stream = random(7, 'along');
  for (const draw of [() => stream.uniform(), (i: number) => uniform(7, 'across', i)]) {
    const counts = Array.from({ length: 100 }, () => 0);
    for (let i = 0; i < draws; ++i) ++counts[Math.floor(draw(i) * 100)]!;
    t.true(chiSquare(counts, draws) < bound(100), `chi-square ${chiSquare(counts, draws)}`);
  }
});

test('neighbouring numbers and neighbouring streams are uncorrelated', (t) => {
  const n = 40_000;
  const correlation = (a: readonly number[], b: readonly number[]): number =>
    (a.reduce((sum, x, i) => sum + (x - 0.5) * (b[i]! - 0.5), 0) / a.length) * 12;
  const draws = (...keys: (number | string)[]): number[] => {
    const stream = random(3, ...keys);
    return Array.from({ length: n }, () => stream.uniform());
  };
  const first = draws('a', 0);
  // Standard error 1 / sqrt(n) = 0.005; five of them.
  t.true(Math.abs(correlation(first.slice(0, -1), first.slice(1))) < 0.025);
  for (const other of [draws('a', 1), draws('b', 0), draws('a'), draws('a', 0, 0)]) {
    t.true(Math.abs(correlation(first, other)) < 0.025);
  }
});

test('a stream is a function of its keys, each of which counts', (t) => {
  const numbers = (...keys: (number | bigint | string)[]): number[] => {
    const stream = random(5, ...keys);
    return [stream.uniform(), stream.below(1000), stream.gaussian()];
  };
  t.deepEqual(numbers('shuffle', 2), numbers('shuffle', 2));
  t.is(uniform(9n, 4n), uniform(9, 4));
  const different = [
    ['shuffle', 2],
    ['shuffle', 3],
    ['shuffle', -2],
    [2, 'shuffle'],
    ['shuffle2'],
    ['shuffle'],
    ['shuffle', '2'],
    ['shuffle', 2 ** 40],
    ['shuffle', ''],
    [],
    [0],
    [0, 0],
  ].map((keys) => uniform(1, ...keys));
  t.is(new Set(different).size, different.length);
  t.not(uniform(1, 'x'), uniform(2, 'x'));
});

test('below is uniform, also where the limit does not divide 2^32', (t) => {
  const stream = random(11);
  const n = 3 * 2 ** 30; // a plain remainder would give the first third twice as often
  const thirds = [0, 0, 0];
  for (let i = 0; i < 9000; ++i) ++thirds[Math.floor(stream.below(n) / 2 ** 30)]!;
  t.true(chiSquare(thirds, 9000) < bound(3) + 10);
  t.is(random(1).below(1), 0);
  t.true(Array.from({ length: 100 }, () => stream.below(2 ** 50)).some((x) => x > 2 ** 40));
});

test('permutations are permutations, each of the six of three as likely', (t) => {
  t.deepEqual(
    [...permutation(1000, 4, 'epoch', 1)].sort((a, b) => a - b),
    [...Array(1000).keys()],
  );
  t.notDeepEqual(permutation(1000, 4, 'epoch', 1), permutation(1000, 4, 'epoch', 2));
  t.deepEqual(shuffled(['a', 'b', 'c'], 4).sort(), ['a', 'b', 'c']);
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; ++i) {
    const order = permutation(3, 1, i).join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  t.is(counts.size, 6);
  t.true(chiSquare([...counts.values()], 6000) < bound(6) + 10);
});

test('gaussian has mean 0, variance 1 and normal tails', (t) => {
  const stream = random(2, 'gaussian');
  const values = Array.from({ length: 40_000 }, () => stream.gaussian());
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((a, b) => a + b * b, 0) / values.length;
  t.true(Math.abs(mean) < 0.025 && Math.abs(variance - 1) < 0.04); // five standard errors
  const tail = values.filter((x) => Math.abs(x) > 1.96).length / values.length;
  t.true(Math.abs(tail - 0.05) < 0.006);
});

test('derived seeds have 64 bits and differ by their keys', (t) => {
  const seeds = Array.from({ length: 1000 }, (_, i) => derivedSeed(1, 'part', i));
  t.is(new Set(seeds).size, 1000);
  t.is(derivedSeed(1, 'part', 5), seeds[5]!);
  t.true(seeds.every((seed) => seed >= 0n && seed < 2n ** 64n));
  t.true(seeds.some((seed) => seed >= 2n ** 63n));
});

test('keys and limits that are not whole numbers are refused', async (t) => {
  assertError(t, await caught(() => uniform(0.5)), 'OPTION_INVALID', 'whole number', '0.5');
  assertError(t, await caught(() => uniform(1, Number.NaN)), 'OPTION_INVALID', 'NaN');
  assertError(t, await caught(() => random(1).below(0)), 'OPTION_INVALID', 'below 0');
});
