// Baselines, normalisation, GAE and whitening against slow loops, and against numbers that were
// worked out by hand from the formulas.
import test from 'ava';
import { adaptiveKl } from '../../src/objectives/adaptive-kl.js';
import {
  centred,
  deviation,
  gae,
  groupNormalised,
  leaveOneOut,
  mean,
  returnsToGo,
  whiten,
} from '../../src/objectives/advantages.js';
import { klEstimators } from '../../src/objectives/kl-estimators.js';
import { uniform } from './helpers.js';
import { assertNear } from './near.js';

const numbers = (seed: number, count: number): number[] => {
  const next = uniform(seed);
  return Array.from({ length: count }, () => 4 * next() - 2);
};

// Double arithmetic of a few terms: a few units of 2.2e-16.
const rounding = 1e-12;

test('group rewards 1, 0, 0, 2: GRPO by either deviation, and leave-one-out', (t) => {
  const rewards = [1, 0, 0, 2];
  const grpo = (ddof: number): number[] => groupNormalised([rewards], { scale: 'group', ddof })[0]!;
  // The numbers have six digits.
  assertNear(t, grpo(1), [0.261089, -0.783268, -0.783268, 1.305446], 1e-6);
  assertNear(t, grpo(0), [0.301475, -0.904425, -0.904425, 1.507375], 1e-6);
  assertNear(t, leaveOneOut(rewards), [0.333333, -1, -1, 1.666667], 1e-6);
});

test('leave-one-out equals the loop over the others, and never sees the own reward', (t) => {
  const rewards = numbers(1, 6);
  const naive = rewards.map((reward, i) => {
    let others = 0;
    rewards.forEach((other, j) => (others += j === i ? 0 : other));
    return reward - others / (rewards.length - 1);
  });
  assertNear(t, leaveOneOut(rewards), naive, rounding);
  rewards.forEach((reward, i) => {
    const baseline = (own: number): number => own - leaveOneOut(rewards.with(i, own))[i]!;
    // Powers of two far from the baseline would round; 0 and the reward itself differ by an ulp.
    assertNear(t, [baseline(reward)], [baseline(0)], 1e-15);
  });
});

test('advantages of a group add up to 0 and follow a permutation of its samples', (t) => {
  const rewards = numbers(2, 8);
  const order = [3, 0, 7, 1, 2, 6, 5, 4];
  for (const advantages of [
    leaveOneOut,
    (r: number[]) => centred(r),
    (r: number[]) => groupNormalised([r], { scale: 'group', ddof: 1 })[0]!,
    (r: number[]) => groupNormalised([r, numbers(3, 4)], { scale: 'batch', ddof: 0 })[0]!,
  ]) {
    const found = advantages(rewards);
    assertNear(t, [found.reduce((a, b) => a + b, 0)], [0], rounding);
    const permuted = advantages(order.map((i) => rewards[i]!));
    assertNear(
      t,
      permuted,
      order.map((i) => found[i]!),
      rounding,
    );
  }
});

test('permuting groups permutes their advantages', (t) => {
  const groups = [numbers(4, 3), numbers(5, 4), numbers(6, 2)];
  for (const scale of ['group', 'batch', 'none'] as const) {
    const found = groupNormalised(groups, { scale, ddof: 1 });
    const reversed = groupNormalised(groups.toReversed(), { scale, ddof: 1 });
    assertNear(t, reversed.toReversed().flat(), found.flat(), rounding);
  }
});

test('scales: a group, the batch, none', (t) => {
  const groups = [
    [1, 2, 4],
    [10, 30, 20],
  ];
  const all = groups.flat();
  const total = all.reduce((a, b) => a + b) / 6;
  const variance = all.reduce((sum, r) => sum + (r - total) ** 2, 0) / 5;
  const [first] = groupNormalised(groups, { scale: 'batch', ddof: 1 });
  const middle = 7 / 3;
  const centredFirst = [1 - middle, 2 - middle, 4 - middle];
  assertNear(
    t,
    first!,
    centredFirst.map((d) => d / (Math.sqrt(variance) + 1e-4)),
    rounding,
  );
  const [plain] = groupNormalised(groups, { scale: 'none', ddof: 1 });
  assertNear(t, plain!, centredFirst, rounding);
});

test('equal rewards give exactly 0, at 1e8 too; noise there stays bounded', (t) => {
  for (const reward of [0, 0.1, -3, 1e8, 1e8 + 0.1]) {
    const rewards = new Array<number>(5).fill(reward);
    t.deepEqual(leaveOneOut(rewards), [0, 0, 0, 0, 0]);
    for (const scale of ['group', 'batch', 'none'] as const) {
      t.deepEqual(groupNormalised([rewards], { scale, ddof: 1 })[0], [0, 0, 0, 0, 0]);
    }
  }
  const noisy = [1e8, 1e8 + 2e-8, 1e8 - 2e-8, 1e8];
  for (const advantage of groupNormalised([noisy], { scale: 'group', ddof: 1 })[0]!) {
    // Noise of 2e-8 against the 1e-4 beside the deviation.
    t.true(Math.abs(advantage) < 1e-3);
  }
});

test('a reward of null has no advantage and is in no baseline', (t) => {
  const [whole, holed] = [
    [1, 0, 5],
    [1, null, 0, null, 5],
  ];
  const keep = (advantages: number[]): number[] => [0, 2, 4].map((i) => advantages[i]!);
  for (const advantages of [
    leaveOneOut,
    (r: readonly (number | null)[]) => centred(r),
    (r: readonly (number | null)[]) => groupNormalised([r], { scale: 'group', ddof: 1 })[0]!,
    (r: readonly (number | null)[]) => groupNormalised([r], { scale: 'batch', ddof: 1 })[0]!,
  ]) {
    const found = advantages(holed);
    t.deepEqual(keep(found), advantages(whole));
    t.is(found[1], 0);
    t.is(found[3], 0);
    t.deepEqual(advantages([7]), [0]);
    t.deepEqual(advantages([null, 7, null]), [0, 0, 0]);
    t.deepEqual(advantages([null, null]), [0, 0]);
  }
});

test('GAE: three tokens worked out by hand', (t) => {
  const rewards = [-0.005, 0.01, -0.02 + 1];
  const { advantages, returns } = gae(rewards, [0.2, 0.3, 0.4], { gamma: 1, lambda: 0.95 });
  assertNear(t, advantages, [0.72295, 0.661, 0.58], 1e-9);
  assertNear(t, returns, [0.92295, 0.961, 0.98], 1e-9);
  assertNear(t, whiten([advantages])[0]!, [0.952762, 0.08858, -1.041342], 1e-6);
});

test('GAE equals the double sum over later errors, with and without a bootstrap value', (t) => {
  for (const length of [1, 2, 7]) {
    for (const bootstrap of [0, 0.7]) {
      const [rewards, values] = [numbers(length, length), numbers(length + 50, length)];
      const [gamma, lambda] = [0.9, 0.8];
      const naive = rewards.map((_, s) => {
        let sum = 0;
        for (let k = s; k < length; k += 1) {
          const next = k + 1 < length ? values[k + 1]! : bootstrap;
          sum += (gamma * lambda) ** (k - s) * (rewards[k]! + gamma * next - values[k]!);
        }
        return sum;
      });
      const found = gae(rewards, values, { gamma, lambda, bootstrap });
      assertNear(t, found.advantages, naive, rounding);
      assertNear(
        t,
        found.returns,
        naive.map((a, s) => a + values[s]!),
        rounding,
      );
    }
  }
});

test('GAE: gamma = lambda = 1 without a critic is the return; lambda 0 is the TD error', (t) => {
  const rewards = numbers(9, 5);
  const zero = [0, 0, 0, 0, 0];
  const sums = rewards.map((_, s) => rewards.slice(s).reduce((a, b) => a + b));
  assertNear(t, gae(rewards, zero, { gamma: 1, lambda: 1 }).advantages, sums, rounding);
  assertNear(t, returnsToGo(rewards), sums, rounding);
  const values = numbers(10, 5);
  const errors = rewards.map((r, s) => r + 0.9 * (values[s + 1] ?? 0) - values[s]!);
  assertNear(t, gae(rewards, values, { gamma: 0.9, lambda: 0 }).advantages, errors, rounding);
});

test('discounted returns', (t) => {
  assertNear(t, returnsToGo([1, 2, 4], 0.5), [1 + 0.5 * (2 + 0.5 * 4), 4, 4], rounding);
});

test('whitening: mean 0 and unbiased variance 1 over all arrays; the mean kept on request', (t) => {
  const arrays = [3, 1, 6].map((length, i) => Float64Array.from(numbers(20 + i, length)));
  const flat = (parts: Float64Array[]): number[] => parts.flatMap((part) => [...part]);
  const whitened = flat(whiten(arrays));
  assertNear(t, [mean(whitened)], [0], rounding);
  // 1e-8 is added to the variance, which is about 1.
  assertNear(t, [deviation(whitened, 1)], [1], 1e-7);
  const kept = flat(whiten(arrays, { shiftMean: false }));
  assertNear(t, [mean(kept)], [mean(flat(arrays))], rounding);
  assertNear(t, [deviation(kept, 1)], [1], 1e-7);
  t.deepEqual(whiten([Float64Array.of(5)]), [Float64Array.of(0)]);
  t.deepEqual(whiten([]), []);
});

test('KL estimators on the three tokens worked out by hand', (t) => {
  const ratios = [0.1, -0.2, 0.4];
  const values = (name: 'k1' | 'k2' | 'k3'): number[] =>
    ratios.map((ratio) => klEstimators[name](ratio).value);
  assertNear(t, values('k1'), ratios, 0);
  assertNear(t, values('k2'), [0.005, 0.02, 0.08], rounding);
  assertNear(t, values('k3'), [0.0048374, 0.0214028, 0.07032], 1e-7);
});

test('KL estimators: slopes, accuracy near 0, finite far away', (t) => {
  for (const name of ['k1', 'k2', 'k3'] as const) {
    const estimate = klEstimators[name];
    for (const ratio of [-25, -19, -2, -1e-2, 0, 5e-4, 0.3, 4]) {
      const step = 1e-6;
      const slope = (estimate(ratio + step).value - estimate(ratio - step).value) / (2 * step);
      const found = estimate(ratio).slope;
      // The difference of values of size |slope| loses about 1e-16 / 1e-6 of it.
      assertNear(t, [found], [slope], 1e-8 * Math.max(1, Math.abs(found)));
    }
    for (const ratio of [-1e3, 1e3]) {
      const { value, slope } = estimate(ratio);
      t.true(Number.isFinite(value) && Number.isFinite(slope), name);
      // All but k1 pull back to the reference from either side.
      if (name !== 'k1') t.is(Math.sign(slope), Math.sign(ratio));
    }
  }
  for (const ratio of [1e-9, -1e-9, 1e-6]) {
    const { value } = klEstimators.k3(ratio);
    // Relative to x^2 / 2 the next term is x / 3.
    assertNear(t, [value / (ratio ** 2 / 2)], [1], 1e-6);
  }
});

test('adaptive KL: unmoved on target, clipped at a fifth, positive', (t) => {
  const controller = { target: 6, horizon: 100 };
  t.is(adaptiveKl(0.2, { kl: 6, samples: 10 }, controller), 0.2);
  assertNear(t, [adaptiveKl(0.2, { kl: 60, samples: 10 }, controller)], [0.2 * 1.02], rounding);
  assertNear(t, [adaptiveKl(0.2, { kl: 0, samples: 10 }, controller)], [0.2 * 0.98], rounding);
  assertNear(t, [adaptiveKl(0.2, { kl: 6.6, samples: 10 }, controller)], [0.2 * 1.01], rounding);
  t.true(adaptiveKl(0.2, { kl: 0, samples: 1e6 }, controller) > 0);
});
