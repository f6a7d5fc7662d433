// The penalty of trust: its arithmetic in log space, and its gradient on every objective on pairs.
import test from 'ava';
import { objectives } from '../../src/objectives/index.js';
import { ipo } from '../../src/objectives/ipo.js';
import type { Objective, Row } from '../../src/objectives/objective.js';
import { reward } from '../../src/objectives/reward.js';
import { simpo } from '../../src/objectives/simpo.js';
import { type TrustOptions, logShares, withTrust } from '../../src/objectives/trust.js';
import { sumOf } from '../../src/numbers.js';
import { assertError } from '../checkpoint/helpers.js';
import { doubles, evaluateAll, gradientAt, numericalGradient, places, rowsFor } from './helpers.js';
import { assertClose } from './variants.js';

const onPairs = objectives
  .map((entry) => entry.make())
  .filter(({ rows, needs }) => rows.join() === 'pair' && !needs.scores);

const gaps = [0.3, 0, 2, 1.1];
const withGaps = (rows: readonly Row[]): Row[] =>
  rows.map((row, r) => ({ ...row, gap: gaps[r % gaps.length]! }));

const close = (actual: number, expected: number): boolean =>
  Math.abs(actual - expected) <= 1e-13 * 100; // a few roundings of numbers below 100

test('shares are gaps over their sum, in logs', (t) => {
  const shares = logShares([1, 3]);
  t.true(close(shares[0]!, Math.log(0.25)) && close(shares[1]!, Math.log(0.75)));
  // Of nothing but zeros all are equal; beside a gap, zero has as good as no share but a finite log.
  t.true(logShares([0, 0]).every((log) => close(log, Math.log(0.5))));
  const [none, all] = logShares([0, 4]);
  t.true(Number.isFinite(none) && none! < -60 && close(all!, 0));
  // 1e-45 is a denormal of float32, and its share must not come to nothing.
  t.true(logShares([1e-45, 1e-45]).every((log) => close(log, Math.log(0.5))));
});

/** Sums of the policy's and the reference's log-probabilities, one token each. */
const row = (gap: number, ratios: readonly [number, number]): Row => ({
  kind: 'pair',
  gap,
  sequences: ratios.map((ratio) => ({ logProbs: doubles([ratio - 2]), reference: doubles([-2]) })),
});

const penaltyOf = (rows: readonly Row[], options: TrustOptions): number => {
  const base = ipo.make({ beta: 0.5 });
  return evaluateAll(withTrust(base, options), rows).loss - evaluateAll(base, rows).loss;
};

test('the penalty is lambda logsumexp(r + log omega), or the mean of r by omega', (t) => {
  const rows = [row(1, [0.4, -0.2]), row(3, [-1, 2])];
  const rewards = [0.4, -0.2, -1, 2].map((ratio) => 0.5 * ratio);
  const omega = [0.125, 0.125, 0.375, 0.375]; // both responses of a pair have its gap
  const smooth = Math.log(sumOf(rewards.map((r, i) => omega[i]! * Math.exp(r))));
  const mean = sumOf(rewards.map((r, i) => omega[i]! * r));
  t.true(Math.abs(penaltyOf(rows, { lambda: 3 }) - 3 * smooth) < 1e-12);
  t.true(Math.abs(penaltyOf(rows, { lambda: 3, form: 'linear' }) - 3 * mean) < 1e-12);
  const scaled = sumOf(rewards.map((r, i) => omega[i]! * 4 * r)); // beta 2 instead of 0.5
  t.true(Math.abs(penaltyOf(rows, { form: 'linear', beta: 2 }) - scaled) < 1e-12);
  // Far from the reference nothing overflows.
  t.true(Math.abs(penaltyOf([row(1, [4000, -4000])], {}) - (2000 - Math.log(2))) < 1e-6);
});

test('the penalty lowers responses by their gaps, and only those', (t) => {
  const objective = withTrust(ipo.make({ beta: 0.5 }), { lambda: 1 });
  const rows = [row(0, [0, 0]), row(2, [0, 0])];
  const plain = evaluateAll(ipo.make({ beta: 0.5 }), rows).gradients;
  const by = evaluateAll(objective, rows).gradients.map((pair, r) =>
    pair.map(({ logProbs }, s) => logProbs![0]! - plain[r]![s]!.logProbs![0]!),
  );
  // beta times the share, which of the pair without a gap is 1e-30 or so.
  assertClose(t, by.flat(), [0, 0, 0.25, 0.25], 1e-6);
});

const checkGradient = (objective: Objective, rows: readonly Row[]) => {
  const evaluation = evaluateAll(objective, rows);
  const where = places(rows);
  return [
    where.map((place) => gradientAt(evaluation, place)),
    where.map((place) => numericalGradient(objective, rows, place)),
  ] as const;
};

for (const base of onPairs) {
  test(`the gradient is the derivative of the loss: ${base.name} with trust`, (t) => {
    for (const form of ['logsumexp', 'linear'] as const) {
      const objective = withTrust(base, { lambda: 0.7, form, beta: 0.3 });
      const weighted = withGaps(rowsFor(base, 31)).map((each, r) => ({
        ...each,
        ...(r % 2 === 0 ? { weight: 0.4 } : {}),
      }));
      // As in gradients.test.ts.
      assertClose(t, ...checkGradient(objective, weighted), 2e-6);
    }
  });
}

test('at lambda 0 it is the objective itself, and at the start its loss is known', (t) => {
  const base = ipo.make({ beta: 0.2 });
  const rows = withGaps(rowsFor(base, 32));
  const off = evaluateAll(withTrust(base, { lambda: 0 }), rows);
  const plain = evaluateAll(base, rows);
  t.is(off.loss, plain.loss);
  t.deepEqual(off.gradients, plain.gradients);
  const atStart = rows.map((each) => ({
    ...each,
    sequences: each.sequences.map((sequence) => ({ ...sequence, reference: sequence.logProbs })),
  }));
  const { loss } = evaluateAll(withTrust(base, { lambda: 5 }), atStart);
  t.true(Math.abs(loss - withTrust(base).lossAtStart!()) < 1e-9); // sums of a few doubles
});

test('what it cannot work with is refused', (t) => {
  const refused = (work: () => unknown, code: 'OPTION_INVALID' | 'DATA_INVALID', part: RegExp) => {
    assertError(t, t.throws(work), code, part);
  };
  const base = ipo.make();
  refused(() => withTrust(base, { lambda: -1 }), 'OPTION_INVALID', /lambda/);
  refused(() => withTrust(base, { form: 'cubic' as 'linear' }), 'OPTION_INVALID', /form/);
  refused(() => withTrust(base, { gamma: 1 } as TrustOptions), 'OPTION_INVALID', /gamma/);
  refused(() => withTrust(reward.make()), 'OPTION_INVALID', /reward/);
  const kto = objectives.find(({ name }) => name === 'kto')!.make();
  refused(() => withTrust(kto), 'OPTION_INVALID', /kto/);
  const noBeta = objectives.find(({ name }) => name === 'bo2')!.make();
  refused(() => withTrust(noBeta), 'OPTION_INVALID', /bo2|beta/);
  const rows = rowsFor(base, 33);
  refused(() => evaluateAll(withTrust(base), rows), 'DATA_INVALID', /Row 0 has no gap/);
  const negative = rows.map((each) => ({ ...each, gap: -1 }));
  refused(() => evaluateAll(withTrust(base), negative), 'DATA_INVALID', /the gap -1/);
  t.true(withTrust(simpo.make()).needs.reference);
});
