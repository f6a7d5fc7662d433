// Sources made of sources.
import test from 'ava';
import { functionJudge } from '../../src/judges/function-judge.js';
import { datasetSource } from '../../src/sources/dataset.js';
import { type MixtureOptions, hybrid, mixture } from '../../src/sources/mixture.js';
import { onPolicyGroups } from '../../src/sources/on-policy.js';
import type { Source } from '../../src/sources/source.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { drain, origins, pairs, prompts, sampling, throughJson, tinyPolicy } from './helpers.js';

const part = (name: string, weight: number, count: number, epochs?: number) => ({
  name,
  weight,
  source: datasetSource({
    examples: pairs(count, name),
    order: 'shuffled',
    ...(epochs ? { epochs } : {}),
  }),
});

test('parts come in proportion to their weights, each in its own order', async (t) => {
  const own = mixture({ parts: [part('a', 3, 10), part('b', 1, 7)], seed: 2 });
  const seen = origins((await drain(own, 8, 250)).flat());
  const ofA = seen.filter((origin) => origin.startsWith('a'));
  // 2000 draws of probability 3/4: a standard deviation of 19.4; four of them.
  t.true(Math.abs(ofA.length - 1500) < 78, `${ofA.length} of a`);
  const alone = origins((await drain(part('a', 1, 10).source, 10, 200)).flat());
  t.deepEqual(ofA, alone.slice(0, ofA.length));
});

test('batches have no influence, seeds have', async (t) => {
  const order = async (seed: number, count: number): Promise<string[]> => {
    const own = mixture({ parts: [part('a', 3, 10), part('b', 1, 7)], seed });
    return origins((await drain(own, count, 60 / count)).flat());
  };
  t.deepEqual(await order(1, 4), await order(1, 10));
  t.notDeepEqual(await order(1, 4), await order(2, 4));
});

test('resumed anywhere, it goes on exactly', async (t) => {
  for (const whenUsedUp of ['stop', 'continue'] as const) {
    const make = () =>
      mixture({ parts: [part('a', 1, 9, 2), part('b', 2, 7, 2)], seed: 5, whenUsedUp });
    const whole = (await drain(make(), 4)).map(origins);
    for (let stop = 0; stop <= whole.length; ++stop) {
      const first = make();
      const before = await drain(first, 4, stop);
      const resumed = make();
      resumed.restore(throughJson(first));
      t.deepEqual([...before, ...(await drain(resumed, 4))].map(origins), whole);
    }
  }
});

test('when a part is used up: stop, or go on with the others', async (t) => {
  const parts = () => [part('a', 1, 4, 1), part('b', 1, 40, 1)];
  const stopped = origins((await drain(mixture({ parts: parts() }), 5)).flat());
  t.is(stopped.filter((origin) => origin.startsWith('a')).length, 4);
  t.true(stopped.length < 25);
  const whole = (await drain(mixture({ parts: parts(), whenUsedUp: 'continue' }), 5)).flat();
  t.is(whole.length, 44);
});

test('parts are checked', async (t) => {
  const refused = async (options: MixtureOptions, text: string): Promise<void> => {
    assertError(t, await caught(() => mixture(options)), 'OPTION_INVALID', text);
  };
  await refused({ parts: [] }, 'at least one');
  await refused({ parts: [part('a', 0, 3)] }, 'above 0');
  await refused({ parts: [part('a', NaN, 3)] }, 'above 0');
  await refused({ parts: [part('a/b', 1, 3)] }, 'letters');
  await refused({ parts: [part('a', 1, 3), part('a', 1, 3)] }, 'same name');
  const two = mixture({ parts: [part('a', 1, 3), part('b', 1, 3)] });
  const one = mixture({ parts: [part('a', 1, 3)] });
  assertError(
    t,
    await caught(() => {
      one.restore(two.state());
    }),
    'RUN_INVALID',
    '2 parts',
  );
});

test('hybrid: the pairs of the dataset, and unlabelled samples beside them', async (t) => {
  const policy = await tinyPolicy(t);
  const offline = () => datasetSource({ examples: pairs(10), order: 'shuffled', epochs: 2 });
  const make = (): Source =>
    hybrid({
      pairs: offline(),
      samples: onPolicyGroups({ policy, prompts, sampling, samples: 2 }),
      groupsPerPair: 2,
    });
  const batches = await drain(make(), 4);
  const alone = await drain(offline(), 4);
  t.deepEqual(
    batches.map((batch) => origins(batch.filter(({ kind }) => kind === 'pair'))),
    alone.map(origins),
    'the pairs are those of the dataset alone, batch by batch',
  );
  for (const batch of batches) {
    const groups = batch.filter(({ kind }) => kind === 'group');
    t.is(groups.length, 2 * (batch.length - groups.length));
    t.true(groups.every(({ responses }) => responses.every((each) => each.reward === undefined)));
    t.deepEqual(batch.slice(-groups.length), groups, 'after the pairs');
  }
  const first = make();
  const before = await drain(first, 4, 2);
  const resumed = make();
  resumed.restore(throughJson(first));
  t.deepEqual([...before, ...(await drain(resumed, 4, 1000, 2))], batches);
});

test('hybrid never goes on with pairs alone', async (t) => {
  const policy = await tinyPolicy(t);
  const own = hybrid({
    pairs: datasetSource({ examples: pairs(10) }),
    samples: onPolicyGroups({ policy, prompts, sampling, samples: 2, epochs: 1 }),
  });
  t.deepEqual(
    (await drain(own, 3)).map(({ length }) => length),
    [6, 6],
  );
});

test('hybrid takes no samples that a judge has seen', async (t) => {
  const policy = await tinyPolicy(t);
  const judge = functionJudge({ name: 'length' }, ({ response }) => response.tokens.length);
  const offline = datasetSource({ examples: pairs(10) });
  const judged = onPolicyGroups({ policy, prompts, sampling, judge, decode: () => '' });
  assertError(
    t,
    // @ts-expect-error its samples carry rewards
    await caught(() => hybrid({ pairs: offline, samples: judged })),
    'OPTION_INVALID',
    'unlabelled',
  );
  // @ts-expect-error nor does a source that makes no promise
  const refused = await caught(() => hybrid({ pairs: offline, samples: offline }));
  assertError(t, refused, 'OPTION_INVALID', 'without a judge');
  // @ts-expect-error and unlabelled samples have no place for a judge
  const options: Parameters<typeof hybrid>[0]['samples'] = onPolicyGroups({
    policy,
    prompts,
    judge,
    decode: () => '',
  });
  t.false(options.unlabelled);
});
