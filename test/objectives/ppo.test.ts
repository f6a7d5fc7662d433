// PPO: rewards on tokens, advantages, both clips, the adaptive coefficient.
import test from 'ava';
import { gae, whiten } from '../../src/objectives/advantages.js';
import type { Row } from '../../src/objectives/objective.js';
import { check, specs, type PpoOptions } from '../../src/objectives/ppo-options.js';
import { clippedValueLoss, ppo, tokenRewards } from '../../src/objectives/ppo.js';
import { doubles, evaluateAll, totalsOf } from './helpers.js';
import { assertNear } from './near.js';
import { freshGroups, group, response, withSequences } from './samples.js';

const options = (given: Partial<PpoOptions> = {}): PpoOptions => {
  const all = Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, spec.default]));
  const resolved = { ...all, ...given } as PpoOptions;
  check(resolved);
  return resolved;
};

// Advantages and gradients are float32: 6e-8 of their size, which is about 1.
const float32 = 2e-7;

const policy = doubles([-0.5, -1.2, -0.3]);
const reference = doubles([-0.6, -1.0, -0.7]);

const golden = group(
  response(3, {
    logProbs: policy,
    behaviour: policy,
    reference,
    values: doubles([0.2, 0.3, 0.4]),
    oldValues: doubles([0.2, 0.3, 0.4]),
    reward: 1,
  }),
);

test('three tokens worked out by hand: whitened advantages and returns', (t) => {
  const { advantages, returns } = ppo.make().prepare!([golden])[0]!.sequences[0]!;
  assertNear(t, advantages!, [0.952762, 0.08858, -1.041342], 1e-6);
  assertNear(t, returns!, [0.92295, 0.961, 0.98], float32);
});

test('token rewards add up to score - klCoef * KL, the score on the last token', (t) => {
  for (const length of [1, 7, 8]) {
    for (const truncated of [false, true]) {
      for (const klEstimator of ['k1', 'k3'] as const) {
        const logs = Array.from({ length }, (_, i) => -0.3 - 0.1 * i);
        const one = response(length, {
          behaviour: doubles(logs),
          reference: doubles(logs.map((log, i) => log - 0.2 * Math.cos(i))),
          reward: 3,
          truncated,
        });
        const given = options({ klCoef: 0.5, klEstimator, missingEosPenalty: 2 });
        const rewards = tokenRewards(one, given);
        const kl = logs.map((_, i) => {
          const x = 0.2 * Math.cos(i);
          return klEstimator === 'k1' ? x : Math.exp(-x) - 1 + x;
        });
        const score = truncated ? 1 : 3;
        const sum = rewards.reduce((a, b) => a + b, 0);
        assertNear(t, [sum], [score - 0.5 * kl.reduce((a, b) => a + b)], 1e-12);
        const expected = kl.map((k, i) => -0.5 * k + (i === length - 1 ? score : 0));
        assertNear(t, rewards, expected, 1e-12);
      }
    }
  }
});

test('advantages are whitened over the tokens of the whole batch', (t) => {
  const rows = freshGroups(1, [
    [1, 0, 3, 2],
    [0, 5, 1, 1],
  ]);
  for (const whitenRewards of [false, true]) {
    const given = options({ whitenRewards, gamma: 0.9 });
    const ready = ppo.make({ whitenRewards, gamma: 0.9 }).prepare!(rows);
    const sequences = rows.flatMap((row) => row.sequences);
    const raw = sequences.map((one) => tokenRewards(one, given));
    const rewards = whitenRewards ? whiten(raw, { shiftMean: false }) : raw;
    const found = sequences.map((one, i) =>
      gae(rewards[i]!, one.oldValues!, { gamma: 0.9, lambda: 0.95 }),
    );
    const expected = whiten(found.map(({ advantages }) => advantages));
    ready
      .flatMap((row) => row.sequences)
      .forEach(({ advantages, returns }, i) => {
        assertNear(t, advantages!, expected[i]!, float32);
        assertNear(t, returns!, found[i]!.returns, 1e-6);
      });
  }
});

test('whitening: shorter responses are not padded', (t) => {
  const rows = freshGroups(2, [[1, 0, 3, 2]]);
  const values = ppo.make().prepare!(rows)[0]!.sequences.flatMap((s) => [...s.advantages!]);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((sum, a) => sum + (a - mean) ** 2, 0) / (values.length - 1);
  assertNear(t, [mean, variance], [0, 1], 1e-6);
});

test('the value clip: where the clipped error is the larger one there is no gradient', (t) => {
  // Value, old value, return, range: loss, slope.
  const table: readonly (readonly [number, number, number, number, number, number])[] = [
    [0.1, 0, 1, 0.2, 0.405, -0.9],
    [0.5, 0, 1, 0.2, 0.32, 0],
    [0.5, 0, -1, 0.2, 1.125, 1.5],
    [-0.5, 0, 1, 0.2, 1.125, -1.5],
    [-0.5, 0, -1, 0.2, 0.32, 0],
    [1.5, 1.5, 1.5, 0.2, 0, 0],
  ];
  for (const [value, old, target, range, loss, slope] of table) {
    const found = clippedValueLoss(value, old, target, range);
    assertNear(t, [found.loss, found.slope], [loss, slope], 1e-12);
  }
});

test('before the first step the ratio is 1 and the gradient is -A / tokens', (t) => {
  const objective = ppo.make({ vfCoef: 0.5 });
  const rows = objective.prepare!(freshGroups(3, [[1, 0, 3, 2]]));
  const { gradients, metrics } = evaluateAll(objective, rows);
  const { sampleTokens } = totalsOf(rows);
  rows[0]!.sequences.forEach(({ advantages, returns, values }, s) => {
    const { logProbs, values: slopes, entropies } = gradients[0]![s]!;
    t.deepEqual(
      logProbs,
      advantages!.map((a) => -a / sampleTokens),
    );
    const errors = Array.from(values!, (v, i) => (0.5 * (v - returns![i]!)) / sampleTokens);
    assertNear(t, slopes!, errors, float32);
    t.is(entropies, undefined);
  });
  t.deepEqual(metrics['val/ratio'], { sum: sampleTokens, weight: sampleTokens });
  t.is(metrics['policy/approxkl_avg']!.sum, 0);
  t.is(metrics['policy/clipfrac_avg']!.sum, 0);
});

test('metrics count tokens and responses that are there, and nothing else', (t) => {
  const objective = ppo.make({ klCoef: 0.5, missingEosPenalty: 2 });
  const rows = objective.prepare!([withSequences(golden, (one) => ({ ...one, truncated: true }))]);
  const { metrics } = evaluateAll(objective, rows);
  const one = (name: string): number => {
    t.is(metrics[name]!.weight, 1);
    return metrics[name]!.sum;
  };
  assertNear(t, [one('objective/kl'), one('objective/entropy')], [0.3, 2], 1e-12);
  assertNear(t, [one('objective/scores')], [-1], 1e-12);
  assertNear(t, [one('objective/non_score_reward')], [-0.15], 1e-12);
  assertNear(t, [one('objective/rlhf_reward')], [-1.15], 1e-12);
  for (const name of ['policy/approxkl_avg', 'policy/clipfrac_avg', 'loss/policy_avg']) {
    t.is(metrics[name]!.weight, 3, name);
  }
});

test('the clipped share of tokens', (t) => {
  const objective = ppo.make({ klCoef: 0 });
  const one = response(4, {
    behaviour: doubles([-1.7, -0.7, -0.7, 0]),
    advantages: doubles([1, 1, -1, -1]),
    returns: doubles([0, 0, 0, 0]),
  });
  const { metrics, gradients } = evaluateAll(objective, [group(one)]);
  t.deepEqual(metrics['policy/clipfrac_avg'], { sum: 2, weight: 4 });
  assertNear(t, gradients[0]![0]!.logProbs!, [0, -0.25, 0.25, 0], float32);
});

test('a response that could not be judged has no part in whitening, policy or critic', (t) => {
  const objective = ppo.make();
  const [four, three] = [
    freshGroups(4, [[1, 0, 5, null]]),
    freshGroups(4, [[1, 0, 5, 0]]).map((row) => ({ ...row, sequences: row.sequences.slice(0, 3) })),
  ];
  const advantages = (rows: readonly Row[]): Float32Array[] =>
    objective.prepare!(rows)[0]!
      .sequences.slice(0, 3)
      .map((one) => one.advantages!);
  t.deepEqual(advantages(four), advantages(three));
  t.deepEqual(evaluateAll(objective, objective.prepare!(four)).gradients[0]![3], {});
});

test('one token in the whole batch gives no NaN', (t) => {
  const objective = ppo.make({ whitenRewards: true });
  const rows = objective.prepare!([group(response(1, { reward: 3 }))]);
  const { loss, gradients } = evaluateAll(objective, rows);
  t.true(Number.isFinite(loss));
  t.true(Number.isFinite(gradients[0]![0]!.logProbs![0]));
  t.true(Number.isFinite(gradients[0]![0]!.values![0]));
});

test('an adaptive coefficient grows above the target and shrinks below it', (t) => {
  const { adaptation } = ppo.make({ klCoef: 0.2, klTarget: 0.1, klHorizon: 100 });
  t.is(adaptation!.start, 0.2);
  // The KL of `golden` is 0.3 nats, above 1.2 times the target.
  const next = adaptation!.next(adaptation!.start, [golden]);
  assertNear(t, [next], [0.2 * (1 + 0.2 / 100)], 1e-12);
  t.is(adaptation!.at(next).options.klCoef, next);
  const below = ppo.make({ klCoef: 0.2, klTarget: 30, klHorizon: 100 }).adaptation!;
  t.true(below.next(0.2, [golden]) < 0.2);
  // What is prepared under the new coefficient uses it.
  const sum = (coefficient: number): number =>
    tokenRewards(golden.sequences[0]!, options({ klCoef: coefficient })).reduce((a, b) => a + b);
  assertNear(t, [sum(0.2) - sum(0.5)], [0.3 * 0.3], 1e-12);
  t.is(ppo.make().adaptation, undefined);
  t.throws(() => ppo.make({ klHorizon: 5 }), { code: 'OPTION_INVALID' });
  t.throws(() => ppo.make({ klTarget: 5, klCoef: 0 }), { code: 'OPTION_INVALID' });
});
