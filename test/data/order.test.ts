// Parts, orders and mixtures: exact, reproducible, and independent of how they are read.
import test from 'ava';
import { type Dataset, datasetOf, openRows } from '../../src/data/dataset.js';
import { mixture } from '../../src/data/mixture.js';
import { openDataset } from '../../src/data/open.js';
import { countRecords, shuffle, slice, split, subsample } from '../../src/data/order.js';
import type { TextRecord } from '../../src/text/example.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { jsonl, plainText, prompts, written } from './files.js';

const names = async (dataset: AsyncIterable<TextRecord>): Promise<string[]> => {
  const found = [];
  for await (const record of dataset) {
    found.push(plainText(record.kind === 'text' ? record.text : record.prompt));
  }
  return found;
};

/** The same records without a known size, as of a file. */
const streamed = (count: number): Dataset => {
  const { size: _, ...rest } = datasetOf(prompts(count));
  return rest;
};

const sorted = (list: readonly string[]): string[] => [...list].sort();

test('a slice skips and limits, and says how many are left', async (t) => {
  const all = datasetOf(prompts(5));
  const middle = slice(all, { skip: 1, limit: 2 });
  t.deepEqual(await names(middle), ['p1', 'p2']);
  t.is(middle.size, 2);
  t.is(slice(all, { skip: 4, limit: 9 }).size, 1);
  t.deepEqual(await names(slice(all, { skip: 9 })), []);
  t.is(await countRecords(slice(streamed(5), { skip: 2 })), 3);
  assertError(t, await caught(() => slice(all, { skip: -1 })), 'OPTION_INVALID', 'skip', '-1');
});

test('a subsample of n has exactly n, each row as likely, in the order of the file', async (t) => {
  const all = streamed(20);
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 400; ++seed) {
    const part = await names(await subsample(all, { share: 5, seed }));
    t.is(part.length, 5);
    t.deepEqual(
      part.map((name) => Number(name.slice(1))),
      part.map((name) => Number(name.slice(1))).sort((a, b) => a - b),
    );
    for (const name of part) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  // 400 draws with probability 1/4: mean 100, standard deviation 8.7; five of them.
  t.is(counts.size, 20);
  for (const [name, count] of counts) t.true(Math.abs(count - 100) < 44, `${name}: ${count}`);
  const again = async (seed: number) => names(await subsample(all, { share: 5, seed }));
  t.deepEqual(await again(3), await again(3));
  t.notDeepEqual(await again(3), await again(4));
  t.is((await names(await subsample(all, { share: 20, seed: 1 }))).length, 20);
});

test('a fraction takes about that part; rows keep their fate when more are added', async (t) => {
  const part = await names(await subsample(streamed(4000), { share: 0.25, seed: 1 }));
  t.true(Math.abs(part.length - 1000) < 137); // five standard deviations of 27.4
  const shorter = await names(await subsample(streamed(2000), { share: 0.25, seed: 1 }));
  t.deepEqual(part.slice(0, shorter.length), shorter);
  for (const share of [0, -1, 1.5, Number.NaN, Infinity]) {
    const error = await caught(() => subsample(streamed(3), { share, seed: 1 }));
    assertError(t, error, 'OPTION_INVALID', 'subsample must be a fraction', String(share));
  }
  const many = await caught(() => subsample(streamed(3), { share: 4, seed: 1 }));
  assertError(t, many, 'DATA_INVALID', 'asks for 4 rows, but there are 3');
});

test('train and test are disjoint, complete and reproducible', async (t) => {
  for (const share of [0.2, 7]) {
    const { train, test: held } = await split(streamed(50), { test: share, seed: 2 });
    const [a, b] = [await names(train), await names(held)];
    t.deepEqual(sorted([...a, ...b]), sorted(await names(streamed(50))));
    if (share === 7) t.is(b.length, 7);
    t.deepEqual(await names(held), b, 'a second pass gives the same');
    const other = await split(streamed(50), { test: share, seed: 3 });
    t.notDeepEqual(await names(other.test), b);
    t.like(held.describe(), { split: 'test', test: share, seed: '2', by: 'row' });
  }
  const all = await caught(() => split(streamed(5), { test: 5, seed: 1 }));
  assertError(t, all, 'OPTION_INVALID', 'leaves no rows for training');
});

test('pairs of one row, and on demand all records of a prompt, stay on one side', async (t) => {
  const records = Array.from({ length: 90 }, (_, i) => ({
    kind: 'prompt' as const,
    origin: `trees.jsonl:${Math.floor(i / 3)}#${i % 3}`,
    prompt: `p${i % 10}`,
    columns: { row: Math.floor(i / 3) },
  }));
  for (const options of [{ test: 0.3 }, { test: 9 }, { test: 0.3, by: 'prompt' as const }]) {
    const { train, test: held } = await split(datasetOf(records), { seed: 5, ...options });
    const keys = async (dataset: Dataset): Promise<Set<unknown>> =>
      new Set(
        (await dataset.toArray()).map((record) =>
          record.kind !== 'prompt'
            ? undefined
            : 'by' in options
              ? record.prompt
              : record.columns.row,
        ),
      );
    const [a, b] = [await keys(train), await keys(held)];
    t.true(a.size > 0 && b.size > 0);
    t.true([...a].every((key) => !b.has(key)));
    if (options.test === 9) t.is(b.size, 9);
  }
  const exact = await caught(() => split(datasetOf(records), { test: 9, seed: 1, by: 'prompt' }));
  assertError(t, exact, 'OPTION_INVALID', 'needs a fraction');
});

test('a shuffle is a permutation by seed and epoch, in memory and with a buffer', async (t) => {
  const all = await names(streamed(100));
  for (const buffer of [undefined, 10]) {
    const order = (seed: number, epoch: number) =>
      names(shuffle(streamed(100), { seed, epoch, buffer }));
    const first = await order(1, 0);
    t.deepEqual(sorted(first), sorted(all));
    t.notDeepEqual(first, all);
    t.deepEqual(await order(1, 0), first);
    t.notDeepEqual(await order(1, 1), first);
    t.notDeepEqual(await order(2, 0), first);
    if (buffer === undefined) continue;
    const early = first.findIndex((name, place) => Number(name.slice(1)) - place >= buffer);
    t.is(early, -1, 'a buffer of 10 cannot bring a record 10 places forward');
  }
  const error = await caught(() => shuffle(streamed(3), { seed: 1, buffer: 1 }));
  assertError(t, error, 'OPTION_INVALID', 'buffer must be at least 2');
});

test('a mixture interleaves by weight, keeps each order, and gives every record once', async (t) => {
  const [a, b] = [datasetOf(prompts(3000, 'a')), datasetOf(prompts(3000, 'b'))];
  const mixed = mixture([{ dataset: a, weight: 3 }, { dataset: b }], { seed: 1 });
  const order = await names(mixed);
  t.is(order.length, 6000);
  t.is(mixed.size, 6000);
  t.deepEqual(
    order.filter((name) => name.startsWith('b')),
    await names(b),
  );
  // Three of four until a is used up: 2000 draws, standard deviation 19.4; five of them.
  const start = order.slice(0, 2000).filter((name) => name.startsWith('a')).length;
  t.true(Math.abs(start - 1500) < 97, `${start} of 2000`);
  t.deepEqual(await names(mixed), order);
  t.notDeepEqual(
    await names(mixture([{ dataset: a, weight: 3 }, { dataset: b }], { seed: 2 })),
    order,
  );
});

test('a mixture until the first is used up keeps its proportions to the end', async (t) => {
  const [a, b] = [datasetOf(prompts(300, 'a')), datasetOf(prompts(3000, 'b'))];
  const order = await names(mixture([{ dataset: a }, { dataset: b }], { seed: 1, until: 'first' }));
  t.is(order.filter((name) => name.startsWith('a')).length, 300);
  const others = order.length - 300; // negative binomial: standard deviation 24.5; five of them
  t.true(Math.abs(others - 300) < 123, `${others} others`);
});

test('mixtures of nothing, of other kinds and of odd weights are refused', async (t) => {
  const [p] = [datasetOf(prompts(2))];
  const texts = await openRows([{ text: 'a' }]);
  assertError(t, await caught(() => mixture([], { seed: 1 })), 'OPTION_INVALID', 'at least one');
  const zero = await caught(() => mixture([{ dataset: p, weight: 0 }], { seed: 1 }));
  assertError(t, zero, 'OPTION_INVALID', 'dataset 1', 'above 0');
  const kinds = await caught(() => mixture([{ dataset: p }, { dataset: texts }], { seed: 1 }));
  assertError(t, kinds, 'DATA_INVALID', 'kind "text"', '"prompt"');
});

test('files are mixed by a specification, and their counts are added', async (t) => {
  const rows = (name: string) => Array.from({ length: 40 }, (_, i) => ({ prompt: `${name}${i}` }));
  const { paths } = await written(t, {
    'a.jsonl': jsonl([...rows('a'), { nothing: 1 }]),
    'b.jsonl': jsonl(rows('b')),
  });
  const dataset = await openDataset({
    mixture: [
      { path: paths[0]!, weight: 2, onBadRow: 'skip' },
      { path: paths[1]!, subsample: 10 },
    ],
    seed: 7,
  });
  const order = await names(dataset);
  t.is(order.filter((name) => name.startsWith('b')).length, 10);
  t.is(order.length, 50);
  t.like(dataset.counts(), { rows: 81, skipped: 1 });
  t.deepEqual(dataset.describe().mixture, [2, 1]);
  t.deepEqual(await names(dataset), order);
});

test('reading stops early without reading the rest', async (t) => {
  const { paths } = await written(t, { 'a.jsonl': `${jsonl([{ prompt: 'a' }])}broken\n` });
  t.deepEqual(await names(await openDataset({ path: paths[0]!, limit: 1 })), ['a']);
  assertError(t, await caught(async () => names(await openDataset(paths[0]!))), 'DATA_INVALID');
});

test('a dataset in memory has one kind and at least one record', async (t) => {
  assertError(t, await caught(() => datasetOf([])), 'DATA_INVALID', 'no records');
  const mixed = [...prompts(1), { kind: 'text', origin: 'x:9', text: 'a' } as const];
  assertError(t, await caught(() => datasetOf(mixed)), 'DATA_INVALID', 'x:9', '"text"');
  t.not(datasetOf(prompts(2)).describe().sha256, datasetOf(prompts(3)).describe().sha256);
});
