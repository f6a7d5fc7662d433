// Win rates: both orders, ties, failures, and policies that play against themselves.
import test from 'ava';
import { compareResponses, opponentResponses, winRate } from '../../src/evaluation/win-rate.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { encoder, pairJudge, response, rewardJudge, somePrompts, tinyModel } from './helpers.js';

const prompts = somePrompts(6);
const first = ['a', 'a', 'b', 'b', 'a', 'c'].map((text) => response(text, 3));
const second = ['b', 'b', 'a', 'b', 'x', 'a'].map((text) => response(text, 5));
/** Earlier letters are better; it cannot tell about x. */
const alphabet = (a: string, b: string): number | null => {
  if (a === 'x' || b === 'x') return null;
  if (a === b) return 0.5;
  return a < b ? 0.9 : 0.1;
};

test('wins, ties, losses and failures are counted apart', async (t) => {
  for (const judge of [pairJudge(alphabet), pairJudge(alphabet, true)]) {
    const found = await compareResponses(judge, prompts, first, second);
    t.like(found, { wins: 2, ties: 1, losses: 2, failures: 1, positionFlips: 0, winRate: 0.5 });
    t.deepEqual(found.outcomes, [1, 1, 0, 0.5, null, 0]);
    t.deepEqual(found.lengths, [3, 5]);
    t.is(found.preference!.count, 5);
    t.true(Math.abs(found.preference!.mean - (0.9 * 2 + 0.5 + 0.1 * 2) / 5) < 1e-12);
    const [low, high] = found.wilson!;
    t.true(low > 0.1 && low < 0.25 && high > 0.75 && high < 0.9);
    t.like(found.judge, { name: 'test', version: '1', role: 'golden' });
    t.deepEqual(JSON.parse(JSON.stringify(found)), found);
  }
});

test('the other side has the other rate', async (t) => {
  const judge = pairJudge((a, b) => (a === b ? 0.5 : Number(a < b)));
  const there = await compareResponses(judge, prompts, first, second);
  const back = await compareResponses(judge, prompts, second, first);
  t.is(there.winRate! + back.winRate!, 1);
  t.not(there.winRate, 0.5);
  t.deepEqual(
    there.outcomes.map((o) => 1 - o!),
    back.outcomes,
  );
});

test('a judge that likes a place, not a response, sees ties', async (t) => {
  for (const orders of [false, true]) {
    for (const place of [0.8, 0.2]) {
      const judge = pairJudge(() => place, orders);
      const found = await compareResponses(judge, prompts, first, second);
      t.like(found, { ties: 6, positionFlips: 6, winRate: 0.5 });
    }
  }
  // Where the bias is smaller than the difference, the difference shows.
  const biased = pairJudge((a, b) => Math.min(1, alphabet(a, b) === 0.9 ? 1 : 0.4));
  const found = await compareResponses(
    biased,
    prompts.slice(0, 3),
    first.slice(0, 3),
    second.slice(0, 3),
  );
  t.deepEqual(found.outcomes, [1, 1, 0]);
});

test('a failure in the second order is a failure', async (t) => {
  const judge = pairJudge((a, b) => (a > b ? null : 0.7));
  const found = await compareResponses(judge, prompts, first, second);
  t.is(found.failures, 5);
});

test('nothing decided: no rate, rather than a number', async (t) => {
  const found = await compareResponses(
    pairJudge(() => null),
    prompts,
    first,
    second,
  );
  t.like(found, { winRate: null, wilson: null, bootstrap: null, preference: null, failures: 6 });
});

test('rewards are compared; a missing one is a failure', async (t) => {
  const judge = rewardJudge((_, text) => (text === 'x' ? null : -text.charCodeAt(0)));
  const found = await compareResponses(judge, prompts, first, second);
  t.deepEqual(found.outcomes, [1, 1, 0, 0.5, null, 0]);
});

/** Neither side is favoured, and no two responses are alike often. */
const sums = rewardJudge((tokens) => tokens.reduce((sum, token) => sum + token, 0));
const sampling = { maxNewTokens: 12, stopTokens: [] };

test('a policy against itself wins half', async (t) => {
  const policy = await tinyModel(t, 1);
  const options = { judge: sums, prompts: somePrompts(300), encoder, sampling };
  const found = await winRate({ ...options, policy, opponent: policy, seed: 11, level: 0.999 });
  // Both sides draw from streams of their own, so there is something to decide.
  t.true(found.wins > 100 && found.losses > 100);
  const [low, high] = found.wilson!;
  t.true(low < 0.5 && 0.5 < high, `${found.winRate}`);
  t.deepEqual(
    found,
    await winRate({ ...options, policy, opponent: policy, seed: 11, level: 0.999 }),
  );
});

test('a better policy wins, also against responses that were drawn before', async (t) => {
  const [policy, opponent] = [await tinyModel(t, 1), await tinyModel(t, 2)];
  const options = { judge: sums, prompts: somePrompts(150), encoder, sampling, seed: 5 };
  const found = await winRate({ ...options, policy, opponent });
  const drawn = await opponentResponses(opponent, options);
  t.deepEqual(await winRate({ ...options, policy, opponent: drawn }), found);
  const back = await winRate({ ...options, policy: opponent, opponent: policy });
  const better = found.winRate! > 0.5 ? found : back;
  t.true(better.wilson![0] > 0.5, `${found.winRate} and ${back.winRate}`);
});

test('lists that do not match are refused', async (t) => {
  const judge = pairJudge(() => 1);
  const error = await caught(() => compareResponses(judge, prompts, first.slice(1), second));
  assertError(t, error, 'OPTION_INVALID', '6 prompts, 5 and 6');
});
