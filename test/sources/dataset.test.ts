// Order, epochs and resuming of datasets, in memory and as streams.
import test from 'ava';
import { type DatasetOptions, datasetPairs, datasetSource } from '../../src/sources/dataset.js';
import type { Example } from '../../src/text/example.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { drain, origins, pairs, throughJson } from './helpers.js';

const examples = pairs(10);
const stream = (count = 10) =>
  async function* (): AsyncGenerator<Example> {
    for (const example of pairs(count)) {
      await Promise.resolve();
      yield example;
    }
  };

const variants: Readonly<Record<string, DatasetOptions>> = {
  'list in order': { examples },
  'list shuffled': { examples, order: 'shuffled', seed: 3 },
  'list across epochs': { examples, order: 'shuffled', seed: 3, lastBatch: 'across' },
  'list dropping': { examples, lastBatch: 'drop' },
  'stream in order': { examples: stream() },
  'stream shuffled': { examples: stream(), order: 'shuffled', seed: 3, shuffleBuffer: 4 },
  'stream across epochs': { examples: stream(), lastBatch: 'across' },
  'stream dropping': { examples: stream(), lastBatch: 'drop' },
};

for (const [name, options] of Object.entries(variants)) {
  test(`${name}: resumed anywhere, it goes on exactly`, async (t) => {
    const make = () => datasetSource({ ...options, epochs: 3 });
    const whole = (await drain(make(), 4)).map(origins);
    for (let stop = 0; stop <= whole.length; ++stop) {
      const first = make();
      const before = await drain(first, 4, stop);
      const resumed = make();
      resumed.restore(throughJson(first));
      const after = await drain(resumed, 4);
      t.deepEqual([...before, ...after].map(origins), whole, `stopped after ${stop} batches`);
    }
  });

  test(`${name}: each epoch has each row once`, async (t) => {
    const batches = await drain(datasetSource({ ...options, epochs: 2 }), 4);
    const { lastBatch = 'short' } = options;
    const sizes = { short: [4, 4, 2, 4, 4, 2], across: [4, 4, 4, 4, 4], drop: [4, 4, 4, 4] };
    t.deepEqual(
      batches.map(({ length }) => length),
      sizes[lastBatch],
    );
    if (lastBatch === 'drop') return;
    const seen = origins(batches.flat());
    for (const epoch of [seen.slice(0, 10), seen.slice(10)]) {
      t.deepEqual(epoch.toSorted(), origins(examples).toSorted());
    }
    const isShuffled = options.order === 'shuffled';
    t.is(seen.slice(0, 10).join() === seen.slice(10).join(), !isShuffled, 'a new order each epoch');
    t.is(seen.slice(0, 10).join() === origins(examples).join(), !isShuffled);
  });
}

test('an epoch that ends with a full batch is followed by the next one', async (t) => {
  for (const data of [examples, stream()]) {
    const batches = await drain(datasetSource({ examples: data, epochs: 2 }), 5);
    t.deepEqual(
      batches.map(({ length }) => length),
      [5, 5, 5, 5],
    );
  }
});

test('the order is a function of the seed', async (t) => {
  for (const data of [examples, stream()]) {
    const order = async (seed: number): Promise<string> => {
      const source = datasetSource({ examples: data, order: 'shuffled', seed, epochs: 2 });
      return origins((await drain(source, 3)).flat()).join();
    };
    t.is(await order(1), await order(1));
    t.not(await order(1), await order(2));
  }
});

test('the size of the batches does not change the order', async (t) => {
  for (const options of Object.values(variants)) {
    if (options.lastBatch === 'drop') continue;
    const order = async (count: number): Promise<string[]> =>
      origins((await drain(datasetSource({ ...options, epochs: 2 }), count)).flat());
    t.deepEqual(await order(3), await order(7));
  }
});

test('without epochs it never ends', async (t) => {
  const source = datasetSource({ examples, order: 'shuffled' });
  t.is((await drain(source, 10, 25)).flat().length, 250);
  t.is(source.size, 10);
  t.is(datasetSource({ examples: stream() }).size, undefined);
});

test('the description tells data and order apart', (t) => {
  const described = (options: DatasetOptions): string =>
    JSON.stringify(datasetSource(options).describe());
  const all = [
    described({ examples }),
    described({ examples: pairs(11) }),
    described({ examples, order: 'shuffled' }),
    described({ examples, order: 'shuffled', seed: 1 }),
    described({ examples, epochs: 2 }),
    described({ examples, lastBatch: 'across' }),
  ];
  t.is(new Set(all).size, all.length);
  t.is(described({ examples: pairs(10) }), described({ examples }));
  t.notThrows(() => described({ examples: pairs(200_000) }));
  t.is(
    described({ examples, seed: 1 }),
    described({ examples }),
    'the seed acts in shuffling only',
  );
});

test('what cannot be trained on is refused', async (t) => {
  const refused = async (
    code: Parameters<typeof assertError>[2],
    options: object,
    part: string,
  ) => {
    const source = () => datasetPairs({ examples, ...options });
    assertError(t, await caught(() => source().take(11, { step: 0 })), code, part);
  };
  const completion: Example = { ...examples[0]!, kind: 'completion', origin: 'file.jsonl:9' };
  await refused('DATA_INVALID', { examples: [completion] }, 'file.jsonl:9');
  await refused('DATA_INVALID', { examples: [] }, 'empty');
  await refused('DATA_INVALID', { examples: stream(0) }, 'ended after 0');
  await refused('OPTION_INVALID', { epochs: 0 }, 'epochs');
  await refused('OPTION_INVALID', { order: 'random' }, 'sequential');
  await refused('OPTION_INVALID', { lastBatch: 'none' }, 'across');
  await refused('OPTION_INVALID', { lastBatch: 'drop' }, 'drops everything');
  await refused('OPTION_INVALID', { shuffleBuffer: 3 }, 'streams');
  await refused('OPTION_INVALID', { examples: stream(), shuffleBuffer: 3 }, 'shuffled');
});

test('a state of other data is refused', async (t) => {
  const source = datasetSource({ examples });
  await source.take(8, { step: 0 });
  const state = source.state();
  const shorter = datasetSource({ examples: pairs(6) });
  assertError(
    t,
    await caught(() => {
      shorter.restore(state);
    }),
    'RUN_INVALID',
    'now the data has 6',
  );
  assertError(
    t,
    await caught(() => {
      shorter.restore({ place: 3 });
    }),
    'RUN_INVALID',
  );
  const streamed = datasetSource({ examples: stream(6) });
  streamed.restore({ epoch: 0, index: 8 });
  assertError(t, await caught(() => streamed.take(1, { step: 0 })), 'RUN_INVALID', 'item 8');
});

test('a take that fails or is aborted took nothing', async (t) => {
  let broken = true;
  const source = datasetSource({
    examples: async function* () {
      for (const [i, example] of examples.entries()) {
        await Promise.resolve();
        if (i === 6 && broken) throw new Error('disk');
        yield example;
      }
    },
  });
  await source.take(4, { step: 0 });
  t.is(((await caught(() => source.take(4, { step: 1 }))) as Error).message, 'disk');
  const signal = AbortSignal.abort();
  t.truthy(await caught(() => source.take(4, { step: 1, signal })));
  broken = false;
  t.deepEqual(origins(await source.take(4, { step: 1 })), origins(examples.slice(4, 8)));
});
