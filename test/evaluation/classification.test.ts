// The policy as a classifier, against sums of next-token log-probabilities.
import test from 'ava';
import { classifyPairs, selfClassification } from '../../src/evaluation/classification.js';
import type { LanguageModel } from '../../src/engine/model.js';
import type { Example } from '../../src/text/example.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import {
  encoder,
  nextLogProbs,
  pairJudge,
  rewardJudge,
  somePrompts,
  tinyModel,
} from './helpers.js';

const pairs: Example[] = somePrompts(8).map(({ tokens }, i) => ({
  kind: 'pair',
  prompt: tokens,
  responses: [{ tokens: Int32Array.of(i, 3, 16 - i) }, { tokens: Int32Array.of((5 * i) % 17, 2) }],
  origin: `pairs:${i}`,
}));

const naive = async (model: LanguageModel, { prompt, responses }: Example, which: number) => {
  const context = [...prompt];
  let sum = 0;
  for (const token of responses[which]!.tokens) {
    sum += (await nextLogProbs(model, context))[token]!;
    context.push(token);
  }
  return sum;
};

test('accuracy and drift are those of the naive loop', async (t) => {
  const [policy, reference] = [await tinyModel(t, 1), await tinyModel(t, 2)];
  const found = await classifyPairs(pairs, { policy, reference, maxTokens: 9 });
  let [right, chosen, rejected] = [0, 0, 0];
  for (const [i, pair] of pairs.entries()) {
    const a = (await naive(policy, pair, 0)) - (await naive(reference, pair, 0));
    const b = (await naive(policy, pair, 1)) - (await naive(reference, pair, 1));
    // Five sums of f32 log-probabilities on each side.
    t.true(Math.abs(found.margins[i]! - (a - b)) < 2e-5);
    right += Number(a > b);
    chosen += a / pairs.length;
    rejected += b / pairs.length;
  }
  t.is(found.accuracy, right / pairs.length);
  t.true(right > 0 && right < pairs.length, 'pairs of both kinds');
  t.true(Math.abs(found.chosenDrift.mean - chosen) < 2e-5);
  t.true(Math.abs(found.rejectedDrift.mean - rejected) < 2e-5);
  t.like(found, { pairs: 8, undecided: 0 });
  const swapped = pairs.map((pair) => ({ ...pair, responses: pair.responses.toReversed() }));
  const other = await classifyPairs(swapped, { policy, reference });
  t.true(Math.abs(other.accuracy - (1 - found.accuracy)) < 1e-12);
});

test('a policy that equals its reference is at chance, and nothing has drifted', async (t) => {
  const policy = await tinyModel(t, 1);
  const found = await classifyPairs(pairs, { policy, reference: policy });
  t.like(found, { accuracy: 0.5, undecided: 8 });
  t.is(found.chosenDrift.mean, 0);
  t.is(found.rejectedDrift.mean, 0);
  const free = await classifyPairs(pairs, { policy, reference: null });
  t.is(free.undecided, 0);
  t.is(free.chosenDrift.mean, free.chosenLogProb.mean);
  t.is(free.chosenLogProb.mean, found.chosenLogProb.mean);
});

test('on its own samples: the judge names the better one', async (t) => {
  const [policy, reference] = [await tinyModel(t, 1), await tinyModel(t, 2)];
  const prompts = somePrompts(40);
  const sampling = { maxNewTokens: 6, stopTokens: [] };
  const options = { policy, reference, prompts, encoder, sampling, seed: 2 };
  const sum = (tokens: Int32Array) => tokens.reduce((a, b) => a + b, 0);
  const up = await selfClassification({ ...options, judge: rewardJudge(sum) });
  const down = await selfClassification({ ...options, judge: rewardJudge((x) => -sum(x)) });
  const { accuracy, pairs: count } = up.classification!;
  t.is(count + up.ties + up.failures, 40);
  t.is(up.failures, 0);
  // The same pairs the other way round.
  t.true(Math.abs(accuracy + down.classification!.accuracy - 1) < 1e-12);
  const none = await selfClassification({ ...options, judge: pairJudge(() => null) });
  t.deepEqual(none, { classification: null, ties: 0, failures: 40 });
});

test('what is no pair is refused', async (t) => {
  const policy = await tinyModel(t, 1);
  const single: Example = { ...pairs[0]!, kind: 'completion', responses: [] };
  const options = { policy, reference: policy };
  const error = await caught(() => classifyPairs([single], options));
  assertError(t, error, 'DATA_INVALID', 'pairs:0', 'completion');
  assertError(t, await caught(() => classifyPairs([], options)), 'OPTION_INVALID', 'no pairs');
});
