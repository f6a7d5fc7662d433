// Best of n, against all subsets and closed forms.
import test from 'ava';
import {
  type ScoredSample,
  bestOfN,
  bestOfNCurve,
  bestOfNKl,
  measureBestOfN,
} from '../../src/evaluation/best-of-n.js';
import { assertError, caught, randomNumbers } from '../checkpoint/helpers.js';
import { encoder, rewardJudge, somePrompts, tinyModel } from './helpers.js';

const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-12 * Math.max(1, Math.abs(b));

/** The mean over all subsets of n, and over the samples that share the best proxy score. */
const enumerated = (samples: readonly ScoredSample[], n: number): number => {
  let [sum, count] = [0, 0];
  for (let mask = 0; mask < 1 << samples.length; mask += 1) {
    const chosen = samples.filter((_, i) => (mask >> i) & 1);
    if (chosen.length === n) {
      const best = Math.max(...chosen.map(({ proxy }) => proxy));
      const tied = chosen.filter(({ proxy }) => proxy === best);
      sum += tied.reduce((total, { golden }) => total + golden / tied.length, 0);
      count += 1;
    }
  }
  return sum / count;
};

test('it is the mean over all subsets, ties included', (t) => {
  const random = randomNumbers(4);
  for (const levels of [1000, 3]) {
    const samples = Array.from({ length: 9 }, () => ({
      proxy: Math.floor(random() * levels),
      golden: random(),
    }));
    for (let n = 1; n <= 9; n += 1) {
      t.true(near(bestOfN(samples, n).golden, enumerated(samples, n)), `${levels}, ${n}`);
    }
  }
});

test('with ranks as scores the best of n beats a fresh sample in n of n + 1 cases', (t) => {
  const count = 200;
  const samples = Array.from({ length: count }, (_, i) => {
    const rank = (i + 1) / (count + 1);
    return { proxy: rank, golden: rank };
  });
  for (const n of [1, 2, 10, 100, 200]) {
    const { proxy, golden } = bestOfN(samples, n);
    t.true(near(golden, n / (n + 1)), `${n}: ${golden}`);
    t.is(proxy, golden);
  }
  const opposed = samples.map(({ proxy }) => ({ proxy, golden: -proxy }));
  t.true(near(bestOfN(opposed, 10).golden, -10 / 11));
});

test('counts that binomial coefficients overflow at', (t) => {
  const samples = Array.from({ length: 5000 }, (_, i) => ({ proxy: i, golden: 1 }));
  t.true(Math.abs(bestOfN(samples, 2500).golden - 1) < 1e-9); // weights add up to one
});

test('the KL bound holds, and is reached by fine distributions', (t) => {
  /** Exact KL of the best of n of a categorical distribution of equally likely, ranked outcomes. */
  const exact = (outcomes: number, n: number): number => {
    let sum = 0;
    for (let i = 1; i <= outcomes; i += 1) {
      const q = (i / outcomes) ** n - ((i - 1) / outcomes) ** n;
      if (q > 0) sum += q * Math.log(q * outcomes);
    }
    return sum;
  };
  t.is(bestOfNKl(1), 0);
  for (const n of [2, 8, 64]) {
    const bound = bestOfNKl(n);
    for (const outcomes of [2, 10, 1000]) t.true(exact(outcomes, n) <= bound + 1e-12);
    t.true(bound - exact(100_000, n) < 1e-4 * bound);
    t.true(bound - exact(10, n) > 1e-3);
  }
});

test('a curve over prompts', async (t) => {
  const prompts = [
    [1, 2, 3, 4],
    [5, 6, 7, 8],
    [9, 10],
  ].map((scores) => scores.map((score) => ({ proxy: score, golden: 2 * score })));
  const curve = bestOfNCurve(prompts, [1, 2, 4], { resamples: 200 });
  t.deepEqual(
    curve.map(({ n, skipped }) => [n, skipped]),
    [
      [1, 1],
      [2, 1],
      [4, 1],
    ],
  );
  // n (N + 1) / (n + 1) of the ranks 1 to 4.
  const means = [2.5, 10 / 3, 4];
  curve.forEach(({ proxy, golden, goldenInterval, kl, n }, i) => {
    t.true(near(proxy.mean, means[i]! + 2));
    t.true(near(golden.mean, 2 * proxy.mean));
    t.true(goldenInterval[0] < golden.mean && golden.mean < goldenInterval[1]);
    t.is(kl, bestOfNKl(n));
  });
  assertError(t, await caught(() => bestOfNCurve(prompts, [5])), 'OPTION_INVALID', '5');
  assertError(t, await caught(() => bestOfN(prompts[2]!, 3)), 'OPTION_INVALID', '2 samples');
  assertError(t, await caught(() => bestOfN(prompts[2]!, 0)), 'OPTION_INVALID', 'best of 0');
});

test('drawn from a policy: a better proxy score with n, and failures counted', async (t) => {
  const policy = await tinyModel(t, 1);
  const prompts = somePrompts(20);
  const proxy = rewardJudge((tokens) => tokens.filter((token) => token > 8).length);
  const golden = rewardJudge((tokens) => (tokens[0] === 3 ? null : tokens[0]!));
  const sampling = { maxNewTokens: 5, stopTokens: [] };
  const options = { policy, prompts, proxy, golden, encoder, samples: 24, sampling };
  const { points, failures, samples } = await measureBestOfN({ ...options, ns: [1, 4, 16] });
  t.is(failures, 20 * 24 - samples.flat().length);
  t.true(failures > 0);
  const means = points.map((point) => point.proxy.mean);
  t.true(means[0]! < means[1]! && means[1]! < means[2]!);
  const plain = samples.map((scored) => scored.reduce((a, b) => a + b.proxy, 0) / scored.length);
  t.true(near(means[0]!, plain.reduce((a, b) => a + b, 0) / 20));
});
