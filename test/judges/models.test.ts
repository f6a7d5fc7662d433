// Reward models and pairwise preference models as judges.
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { askScores, askVerdicts } from '../../src/judges/checked.js';
import { pairVerdict, preferenceModelJudge } from '../../src/judges/preference-model.js';
import { rewardModelJudge } from '../../src/judges/reward-model.js';
import type { CompareRequest, ScoreRequest } from '../../src/judges/judge.js';
import { assertError, caught, randomNumbers, smallConfig } from '../checkpoint/helpers.js';
import { randomTokens } from '../helpers/forests.js';
import { owned } from '../helpers/models.js';

const scalarModel = async (t: Parameters<typeof owned>[0], seed = 3): Promise<LanguageModel> => {
  const config = {
    ...smallConfig('llama'),
    architectures: ['LlamaForSequenceClassification'],
    num_labels: 1,
    max_position_embeddings: 128,
    initializer_range: 0.3,
  };
  return owned(t, await LanguageModel.create(config, { seed }));
};

const random = randomNumbers(5);
const tokens = (length: number): Int32Array => Int32Array.from(randomTokens(random, length, 17));
const prompts = [tokens(4), tokens(9), tokens(1)];

const request = (prompt: Int32Array, response: Int32Array): ScoreRequest => ({
  prompt: '',
  promptTokens: prompt,
  response: { text: [...response].join(' '), tokens: response, truncated: false },
});

const requests = Array.from({ length: 24 }, (_, i) =>
  request(prompts[i % 3]!, tokens(1 + (i % 7))),
);

test('a reward is read at the last token, alone as in any company, bit for bit', async (t) => {
  const model = await scalarModel(t);
  const judge = rewardModelJudge({ model, name: 'reward' });
  const scores = await askScores(judge, requests);
  for (const [i, each] of requests.entries()) {
    const path = [...each.promptTokens, ...each.response.tokens];
    const { scalars } = await model.score([{ tokens: path }], { scalarAt: 'last' });
    t.is(scores[i], scalars[0]!, `request ${i}`);
  }
  const narrow = rewardModelJudge({ model, name: 'reward', maxTokens: 20 });
  t.deepEqual(await askScores(narrow, requests), scores, 'small passes');
  const turned = await askScores(judge, requests.toReversed());
  t.deepEqual(turned.toReversed(), scores, 'another order');
});

test('an empty response has no last token, and an empty prompt is none', async (t) => {
  const model = await scalarModel(t);
  const judge = rewardModelJudge({ model, name: 'reward' });
  const response = tokens(4);
  const [empty, whole] = await askScores(judge, [
    request(prompts[0]!, new Int32Array(0)),
    request(new Int32Array(0), response),
  ]);
  const { scalars } = await model.score([{ tokens: response }], { scalarAt: 'last' });
  t.deepEqual([empty, whole], [null, scalars[0]!]);
});

test('a language model without a scalar is no reward model', async (t) => {
  const model = owned(t, await LanguageModel.create(smallConfig('llama')));
  const error = await caught(() => rewardModelJudge({ model, name: 'wrong' }));
  assertError(t, error, 'OPTION_INVALID', '"wrong"', 'ForSequenceClassification');
});

test('a reward model learns to see the token at the end (bug class 29)', async (t) => {
  const model = await scalarModel(t);
  const judge = rewardModelJudge({ model, name: 'reward' });
  const wanted = 7;
  const draw = randomNumbers(11);
  /** Two responses of which the first, and only it, ends with the wanted token. */
  const pair = (): [Int32Array, Int32Array] => {
    const make = (last: number): Int32Array =>
      Int32Array.from([...randomTokens(draw, 1 + Math.floor(draw() * 5), 17), last]);
    const other = Math.floor(draw() * 16);
    return [make(wanted), make(other >= wanted ? other + 1 : other)];
  };
  for (let step = 0; step < 200; ++step) {
    const pairs = Array.from({ length: 8 }, pair).flat();
    const segments = pairs.map((response) => ({ tokens: [1, ...response] }));
    using pass = await model.forward(segments, { scalarAt: 'last' });
    const { scalars } = pass;
    // Bradley–Terry: the loss is -log sigmoid(better - worse).
    const slopes = scalars.map((score, i) => {
      const other = scalars[i ^ 1]!;
      return i % 2 === 0 ? -1 / (1 + Math.exp(score - other)) : 1 / (1 + Math.exp(other - score));
    });
    await pass.backward({ scalars: slopes.map((slope) => slope / 8) });
    await model.step({ learningRate: 1e-2 });
  }
  const pairs = Array.from({ length: 100 }, pair);
  const scores = await askScores(
    judge,
    pairs.flat().map((response) => request(Int32Array.of(1), response)),
  );
  const right = pairs.filter((_, i) => scores[2 * i]! > scores[2 * i + 1]!).length;
  t.is(right, 100);
});

const encoder = {
  compare: (prompt: unknown, first: string, second: string) => {
    const ids = (text: string): number[] => text.split(' ').map(Number);
    const order = (a: string, b: string) => Int32Array.from([...ids(a), 15, ...ids(b), 16]);
    return {
      head: Int32Array.of(14, String(prompt).length % 14),
      orders: [order(first, second), order(second, first)] as const,
      truncated: false,
    };
  },
};

test('preferences of a pairwise model do not depend on the order (bug class 29)', async (t) => {
  const model = await scalarModel(t);
  const comparisons = Array.from({ length: 12 }, (_, i): CompareRequest => {
    const sides = [requests[i]!.response, requests[i + 12]!.response] as const;
    return { prompt: 'x'.repeat(i), promptTokens: tokens(1), first: sides[0], second: sides[1] };
  });
  const back = comparisons.map((each) => ({ ...each, first: each.second, second: each.first }));
  for (const hard of [true, false]) {
    const judge = preferenceModelJudge({ model, encoder, hard, name: 'pairs' });
    const there = await askVerdicts(judge, comparisons);
    const swapped = await askVerdicts(judge, back);
    let biased = 0;
    there.forEach((verdict, i) => {
      const [first, second] = verdict.orders!;
      t.deepEqual(swapped[i]!.orders, [second, first]);
      // The mean of both orders is two f64 roundings from its mirror image.
      t.true(Math.abs(verdict.preference! + swapped[i]!.preference! - 1) < 1e-15);
      if (hard) t.is(verdict.preference, first > second ? 1 : 0);
      biased += Number(Math.abs(first + second - 1) > 1e-3);
    });
    t.true(biased > 0, 'the model itself does depend on the order');
  }
});

test('a pairwise verdict: the logits decide where the probabilities saturate', (t) => {
  t.is(pairVerdict(800, 700, true).preference, 1);
  t.is(pairVerdict(700, 800, true).preference, 0);
  t.is(pairVerdict(3, 3, true).preference, 0.5);
  t.is(pairVerdict(null, 3, true).preference, null);
});

test('the same two responses are a tie', async (t) => {
  const judge = preferenceModelJudge({ model: await scalarModel(t), encoder, name: 'pairs' });
  const { response } = requests[0]!;
  const twice = { prompt: 'p', promptTokens: tokens(1), first: response, second: response };
  t.is((await askVerdicts(judge, [twice]))[0]!.preference, 0.5);
});
