// KL along samples, against sums over every response and naive loops.
import test from 'ava';
import { klEstimators, klOfSamples, measureKl } from '../../src/evaluation/kl.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { nextLogProbs, somePrompts, tinyModel } from './helpers.js';

const sampling = { maxNewTokens: 2, stopTokens: [] };
const long = { maxNewTokens: 20 };
const divergence = (p: readonly number[], q: readonly number[]): number =>
  p.reduce((sum, lp, v) => sum + Math.exp(lp) * (lp - q[v]!), 0);

test('the KL of a policy to itself is zero, sample by sample', async (t) => {
  const policy = await tinyModel(t, 1);
  const prompts = somePrompts(12);
  const measured = await measureKl({
    policy,
    reference: policy,
    prompts,
    samples: 3,
    sampling: long,
  });
  t.is(measured.sequences.length, 36);
  // The same bits on both sides: exactly zero.
  for (const { exact, k1, k2, k3 } of measured.sequences) {
    t.deepEqual([exact, k1, k2, k3], [0, 0, 0, 0]);
  }
  t.deepEqual(measured.exact, { mean: 0, standardError: 0, count: 36 });
});

test('each sample has the KL of its distributions and the sums of its log-ratios', async (t) => {
  const [policy, reference] = [await tinyModel(t, 1), await tinyModel(t, 2)];
  const prompts = somePrompts(3);
  const responses = [[5], [1, 16, 4], [2, 2]];
  const samples = prompts.map(({ tokens }, i) => ({
    prompt: tokens,
    tokens: Int32Array.from(responses[i]!),
  }));
  const measured = await klOfSamples(policy, reference, samples);
  for (const [i, sequence] of measured.sequences.entries()) {
    const expected = { exact: 0, k1: 0, k2: 0, k3: 0 };
    const context = [...prompts[i]!.tokens];
    for (const token of responses[i]!) {
      const [p, q] = [await nextLogProbs(policy, context), await nextLogProbs(reference, context)];
      expected.exact += divergence(p, q);
      const ratio = Math.exp(q[token]! - p[token]!);
      expected.k1 -= Math.log(ratio);
      expected.k2 += Math.log(ratio) ** 2 / 2;
      expected.k3 += ratio - 1 - Math.log(ratio);
      context.push(token);
    }
    // Sums of up to 51 f32 terms.
    for (const name of ['exact', 'k1', 'k2', 'k3'] as const) {
      const error = Math.abs(sequence[name] - expected[name]);
      t.true(error < 2e-5 * Math.max(1, expected[name]), `${name} of ${i}: off by ${error}`);
    }
    t.is(sequence.tokens, responses[i]!.length);
  }
  const total = measured.sequences.reduce((sum, { exact }) => sum + exact, 0);
  t.true(Math.abs(measured.exactPerToken - total / 6) < 1e-12);
  t.is(measured.tokens, 6);
  // Cutting the passes changes nothing.
  t.deepEqual(await klOfSamples(policy, reference, samples, { maxTokens: 1 }), measured);
});

test('means over samples are the KL of two-token responses', async (t) => {
  const [policy, reference] = [await tinyModel(t, 1), await tinyModel(t, 2)];
  const [prompt] = somePrompts(1);
  const context = [...prompt!.tokens];
  const p = await nextLogProbs(policy, context);
  let truth = divergence(p, await nextLogProbs(reference, context));
  for (const [token, logProb] of p.entries()) {
    const after = [...context, token];
    const [own, other] = [await nextLogProbs(policy, after), await nextLogProbs(reference, after)];
    truth += Math.exp(logProb) * divergence(own, other);
  }
  const options = { policy, reference, prompts: [prompt!], sampling, samples: 2000, seed: 7 };
  const measured = await measureKl(options);
  for (const name of ['exact', 'k1', 'k3'] as const) {
    const { mean, standardError } = measured[name];
    // Four standard errors: one seed in 16000 would fail.
    t.true(Math.abs(mean - truth) < 4 * standardError!, `${name}: ${mean}, truth ${truth}`);
  }
  t.true(measured.exact.standardError! < measured.k1.standardError! / 2);
  t.is(measured.truncated, 2000);
  t.deepEqual(
    await measureKl({ ...options, samples: 20 }),
    await measureKl({ ...options, samples: 20 }),
  );
});

test('the estimators of a token', (t) => {
  const { k1, k2, k3 } = klEstimators(-1, -3);
  t.deepEqual([k1, k2], [2, 2]);
  t.true(Math.abs(k3 - (Math.exp(-2) + 1)) < 1e-15);
  t.true(klEstimators(-3, -1).k3 > 0);
  // Close to each other: no cancellation.
  t.true(Math.abs(klEstimators(-1, -1 - 1e-9).k3 - 5e-19) < 1e-16);
});

test('samples of another distribution are refused', async (t) => {
  const policy = await tinyModel(t, 1);
  const biased = { policy, reference: policy, prompts: somePrompts(1), sampling: { topK: 5 } };
  assertError(t, await caught(() => measureKl(biased as never)), 'OPTION_INVALID', 'topK');
  const none = await caught(() => klOfSamples(policy, policy, []));
  assertError(t, none, 'OPTION_INVALID', 'at least one');
});
