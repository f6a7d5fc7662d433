// Shuffling in windows, thinning out and mixing of lists.
import { join } from 'node:path';
import test from 'ava';
import { batchesOf, mix, shuffleWindows, subsampleItems } from '../../src/ablations/lists.js';
import { datasetSource } from '../../src/sources/dataset.js';
import { ExperienceLog, recording } from '../../src/sources/experience-log.js';
import { replay } from '../../src/sources/replay.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';
import { drain, origins, pairs } from '../sources/helpers.js';

const numbers = (count: number): number[] => [...Array(count).keys()];
const ascending = (a: number, b: number): number => a - b;

test('items change places within windows of batches and nowhere else', async (t) => {
  const batches = batchesOf(numbers(26), 4);
  t.deepEqual(
    batches.map(({ length }) => length),
    [4, 4, 4, 4, 4, 4, 2],
  );
  for (const window of [1, 3, 7, 100, Infinity]) {
    const shuffled = shuffleWindows(batches, { window, seed: 1 });
    t.deepEqual(
      shuffled.map(({ length }) => length),
      batches.map(({ length }) => length),
    );
    const size = Math.min(window, 7) * 4;
    for (let from = 0; from < 26; from += size) {
      const own = shuffled.flat().slice(from, from + size);
      t.deepEqual(own.toSorted(ascending), numbers(26).slice(from, from + size), `${window}`);
    }
    t.notDeepEqual(shuffled, batches);
    t.deepEqual(shuffleWindows(batches, { window, seed: 1 }), shuffled);
    t.notDeepEqual(shuffleWindows(batches, { window, seed: 2 }), shuffled);
    t.notDeepEqual(shuffleWindows(batches, { window, seed: 1, epoch: 1 }), shuffled);
  }
  t.deepEqual(shuffleWindows([], { window: 2, seed: 1 }), []);
  for (const window of [0, 1.5]) {
    const error = await caught(() => shuffleWindows(batches, { window, seed: 1 }));
    assertError(t, error, 'OPTION_INVALID', 'window', String(window));
  }
});

test('a replay shuffled in windows has the order of the list shuffled in windows', async (t) => {
  const path = join(await temporaryFolder(t), 'log.jsonl');
  const log = await ExperienceLog.open(path);
  const source = datasetSource({ examples: pairs(22), epochs: 1 });
  const batches = await drain(recording(source, log), 4);
  await log[Symbol.asyncDispose]();
  const replayed = await replay({ log: path, order: 'windows', window: 2, seed: 9 });
  const expected = shuffleWindows(batches, { window: 2, seed: 9 }).flat();
  t.deepEqual(origins((await drain(replayed, 4)).flat()), origins(expected));
});

test('every place of a uniform shuffle is as likely', (t) => {
  const counts = numbers(5).map(() => numbers(5).map(() => 0));
  for (let seed = 0; seed < 2000; ++seed) {
    const [order] = shuffleWindows([numbers(5)], { window: Infinity, seed });
    order!.forEach((item, place) => ++counts[item]![place]!);
  }
  // Mean 400, standard deviation 17.9; five of them.
  for (const count of counts.flat()) t.true(Math.abs(count - 400) < 90, `${count}`);
});

test('a subsample is exact, in order, and can be limited to a class or kept in groups', async (t) => {
  const items = numbers(100);
  const tenth = subsampleItems(items, { share: 0.1, seed: 1 });
  t.is(tenth.length, 10);
  t.deepEqual(tenth, tenth.toSorted(ascending));
  t.notDeepEqual(subsampleItems(items, { share: 0.1, seed: 2 }), tenth);
  t.is(subsampleItems(items, { share: 7, seed: 1 }).length, 7);
  const odd = (item: number): boolean => item % 2 === 1;
  const thinned = subsampleItems(items, { share: 0.2, seed: 1, among: odd });
  t.is(thinned.filter(odd).length, 10);
  t.is(thinned.length, 60, 'the even ones all stay');
  const byTens = subsampleItems(items, { share: 3, seed: 1, by: (item) => `${item % 10}` });
  t.is(byTens.length, 30);
  t.is(new Set(byTens.map((item) => item % 10)).size, 3);
  for (const share of [0, -1, 1.5, 101]) {
    const error = await caught(() => subsampleItems(items, { share, seed: 1 }));
    assertError(t, error, 'OPTION_INVALID', 'share', String(share));
  }
});

test('lists are mixed by weight, each in its order', async (t) => {
  const [a, b] = [numbers(1000), numbers(1000).map((x) => -1 - x)];
  const parts = [{ items: a, weight: 4 }, { items: b }];
  const all = await mix(parts, { seed: 1 });
  t.is(all.length, 2000);
  t.deepEqual(
    all.filter((x) => x >= 0),
    a,
  );
  t.deepEqual(await mix(parts, { seed: 1 }), all);
  t.notDeepEqual(await mix(parts, { seed: 2 }), all);
  const some = await mix(parts, { seed: 1, until: 500 });
  t.deepEqual(some, all.slice(0, 500));
  // 500 draws with probability 4/5: standard deviation 8.9; five of them.
  t.true(Math.abs(some.filter((x) => x >= 0).length - 400) < 45);
  const first = await mix(parts, { seed: 1, until: 'first' });
  t.is(first.filter((x) => x >= 0).length, 1000);
  const short = await caught(() => mix(parts, { seed: 1, until: 1900 }));
  assertError(t, short, 'OPTION_INVALID', 'was used up after');
  const zero = await caught(() => mix([{ items: a, weight: 0 }], { seed: 1 }));
  assertError(t, zero, 'OPTION_INVALID', 'above 0');
});
