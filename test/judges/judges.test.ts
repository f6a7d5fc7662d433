// Roles, orders, failures: what must hold of every judge. The lines marked @ts-expect-error are a
// test of the types: `tsc` fails where one of them compiles.
import test from 'ava';
import {
  askScores,
  askVerdicts,
  requireProxy,
  toTrainGoldenPolicy,
} from '../../src/judges/checked.js';
import { majorityJudge, preferenceOf, rewardToPair, sumJudge } from '../../src/judges/combine.js';
import { functionJudge, functionPairJudge } from '../../src/judges/function-judge.js';
import type { Judge, PairJudge, Verdict } from '../../src/judges/judge.js';
import { ruleJudge } from '../../src/judges/rules.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { compareRequest, scoreRequest } from './helpers.js';

const golden = functionJudge(
  { name: 'truth', role: 'golden' },
  ({ response }) => response.tokens.length,
);
const proxy = functionJudge({ name: 'length' }, ({ response }) => response.tokens.length);
const pairOf = (answer: unknown): PairJudge<'proxy'> => ({
  kind: 'pair',
  role: 'proxy',
  name: 'stub',
  version: '1',
  compare: (requests) => Promise.resolve(requests.map(() => answer as Verdict)),
});

test('a golden judge is no proxy, for the compiler and at run time', async (t) => {
  const acceptsProxy = (judge: Judge<'proxy'>): boolean => {
    requireProxy(judge);
    return true;
  };
  t.notThrows(() => {
    acceptsProxy(proxy);
    acceptsProxy(ruleJudge('length'));
    acceptsProxy(rewardToPair(proxy));
    acceptsProxy(toTrainGoldenPolicy(golden));
  });
  for (const pass of [
    // @ts-expect-error golden is not proxy
    () => acceptsProxy(golden),
    // @ts-expect-error golden is not proxy, in whatever form
    () => acceptsProxy(rewardToPair(golden)),
    // @ts-expect-error nor a rule that was declared golden
    () => acceptsProxy(ruleJudge('length', {}, { role: 'golden' })),
    // @ts-expect-error nor a sum that has golden parts
    () => acceptsProxy(sumJudge([{ judge: golden, weight: 1 }], { name: 'sum', role: 'golden' })),
  ]) {
    assertError(t, await caught(pass), 'OPTION_INVALID', 'golden', 'toTrainGoldenPolicy');
  }
  t.is(toTrainGoldenPolicy(golden).name, 'golden-policy:truth');
});

test('answers that are none become null, never numbers', async (t) => {
  const answers = [1, NaN, undefined, Infinity, '2', null, -0];
  const judge = functionJudge(
    { name: 'stub' },
    ({ response }) => answers[Number(response.text)] as number,
  );
  const requests = answers.map((_, i) => scoreRequest(String(i)));
  const scores = await askScores(judge, requests);
  t.deepEqual(scores, [1, null, null, null, null, null, 0]);
  for (const preference of [-1, 2, NaN, undefined, null]) {
    const [verdict] = await askVerdicts(pairOf({ preference }), [compareRequest('a', 'b')]);
    t.is(verdict?.preference, null, String(preference));
  }
  const [verdict] = await askVerdicts(pairOf(undefined), [compareRequest('a', 'b')]);
  t.is(verdict?.preference, null);
  const orders = await askVerdicts(pairOf({ preference: 0.5, orders: [2, 1] }), [
    compareRequest('a', 'b'),
  ]);
  t.is(orders[0]?.preference, null);
});

test('a judge that skips questions is refused', async (t) => {
  const silent = { ...pairOf({ preference: 1 }), compare: () => Promise.resolve([]) };
  const error = await caught(() => askVerdicts(silent, [compareRequest('a', 'b')]));
  assertError(t, error, 'JUDGE_FAILED', '"stub"', '1 questions', '0 answers');
});

test('a function that favours the first place has no say', async (t) => {
  const biased = functionPairJudge({ name: 'first' }, () => 0.9);
  const [verdict] = await askVerdicts(biased, [compareRequest('a', 'b')]);
  t.deepEqual(verdict, { preference: 0.5, orders: [0.9, 0.9] });
  const once = functionPairJudge({ name: 'first', bothOrders: false }, () => 0.9);
  t.deepEqual(await askVerdicts(once, [compareRequest('a', 'b')]), [{ preference: 0.9 }]);
});

test('swapping two responses turns the preference round', async (t) => {
  const noisy = functionPairJudge({ name: 'noisy' }, ({ first, second }) => {
    const better = first.text.length / (first.text.length + second.text.length);
    return Math.min(1, better + 0.2); // and a bias for the first place
  });
  for (const judge of [noisy, rewardToPair(proxy), rewardToPair(proxy, { hard: true })]) {
    for (const [a, b] of [
      ['aaaa', 'bb'],
      ['a', 'bbbbbb'],
      ['aa', 'bb'],
    ] as const) {
      const [there] = await askVerdicts(judge, [compareRequest(a, b)]);
      const [back] = await askVerdicts(judge, [compareRequest(b, a)]);
      // Two f64 roundings: of the mean of both orders, and of the sum here.
      t.true(Math.abs(there!.preference! + back!.preference! - 1) < 1e-15);
    }
  }
});

test('a failure in one order leaves no preference', async (t) => {
  const half = functionPairJudge({ name: 'half' }, ({ first }) => (first.text === 'a' ? 1 : null));
  t.deepEqual(await askVerdicts(half, [compareRequest('a', 'b')]), [
    { preference: null, reason: 'no usable preference (found none)' },
  ]);
});

test('rewards as preferences: Bradley–Terry, and a tie only where they are equal', (t) => {
  t.is(preferenceOf(1, 1, false), 0.5);
  t.true(Math.abs(preferenceOf(Math.log(3), 0, false) - 0.75) < 1e-15);
  t.is(preferenceOf(2, 1, true), 1);
  t.is(preferenceOf(1, 2, true), 0);
  t.true(preferenceOf(1, 1 + 1e-16 + 2 ** -52, false) < 0.5, 'rounds to 1/2, but is no tie');
  t.is(preferenceOf(1e4, -1e4, false), 1);
  t.is(preferenceOf(-1e4, 1e4, false), 0);
});

test('a reward that is missing leaves no preference', async (t) => {
  const judge = functionJudge({ name: 'stub' }, ({ response }) =>
    response.text === 'a' ? 1 : null,
  );
  const [verdict] = await askVerdicts(rewardToPair(judge), [compareRequest('a', 'b')]);
  t.is(verdict?.preference, null);
});

test('a majority counts votes, halves of ties, and nothing of failures', async (t) => {
  const vote = async (...preferences: (number | null)[]): Promise<number | null> => {
    const judges = preferences.map((preference) => pairOf({ preference }));
    const majority = majorityJudge(judges, { name: 'majority' });
    const [verdict] = await askVerdicts(majority, [compareRequest('a', 'b')]);
    return verdict!.preference;
  };
  t.is(await vote(0.51, 0.9, 0.1), 2 / 3);
  t.is(await vote(0.5, 1), 0.75);
  t.is(await vote(null, 0), 0);
  t.is(await vote(null, null), null);
  assertError(t, await caught(() => majorityJudge([], { name: 'none' })), 'OPTION_INVALID');
});

test('a sum of rewards is null where a part is', async (t) => {
  const parts = [
    { judge: ruleJudge('length'), weight: 2 },
    { judge: ruleJudge('answer'), weight: 10 },
  ];
  const sum = sumJudge(parts, { name: 'both' });
  const columns = { answer: 'yes' };
  const requests = [
    scoreRequest('yes', { columns }),
    scoreRequest('no', { columns }),
    scoreRequest('yes'),
  ];
  t.deepEqual(await askScores(sum, requests), [16, 4, null]);
  t.true(sum.version.includes('rule:length'));
});

test('functions run at most so many at once, and stop at the first failure', async (t) => {
  let running = 0;
  let most = 0;
  let calls = 0;
  const judge = functionJudge({ name: 'slow', concurrency: 3 }, async ({ response }) => {
    calls += 1;
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running -= 1;
    if (response.text === '5') throw new Error('five');
    return Number(response.text);
  });
  const requests = Array.from({ length: 40 }, (_, i) => scoreRequest(String(i)));
  t.deepEqual(await judge.score(requests.slice(0, 5)), [0, 1, 2, 3, 4]);
  t.is(most, 3);
  const error = await caught(() => judge.score(requests));
  t.is((error as Error).message, 'five');
  t.true(calls < 30, 'the rest was not started');
  const signal = AbortSignal.abort();
  t.truthy(await caught(() => judge.score(requests, { signal })));
});
