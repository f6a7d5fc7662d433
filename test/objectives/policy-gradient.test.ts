// REINFORCE, RLOO and GRPO: numbers worked out by hand, the clip, and what must get no gradient.
import test, { type ExecutionContext } from 'ava';
import { AlignlabError, type ErrorCode } from '../../src/errors.js';
import { grpo } from '../../src/objectives/grpo.js';
import type { Objective, Row } from '../../src/objectives/objective.js';
import { reinforce } from '../../src/objectives/reinforce.js';
import { rloo } from '../../src/objectives/rloo.js';
import { clippedSurrogate } from '../../src/objectives/surrogate.js';
import { doubles, evaluateAll, rowsFor, totalsOf } from './helpers.js';
import { assertNear } from './near.js';
import { freshGroups, group, response, withSequences } from './samples.js';

// Advantages and gradients are float32: 6e-8 of their size, which is about 1.
const float32 = 2e-7;

const total = (values: Float32Array): number => values.reduce((a, b) => a + b, 0);

const prepared = (objective: Objective, rows: readonly Row[]): readonly Row[] =>
  objective.prepare!(rows);

const advantagesOf = (rows: readonly Row[]): number[] =>
  rows.flatMap(({ sequences }) => sequences.map(({ advantages }) => advantages![0]!));

const slopesOf = (objective: Objective, rows: readonly Row[]): number[][] =>
  evaluateAll(objective, rows)
    .gradients.flat()
    .map(({ logProbs }) => [...(logProbs ?? [])]);

const noGradient = (t: ExecutionContext, slopes: readonly number[]): void => {
  t.true(slopes.every((slope) => slope === 0));
};

test('the clip: twelve ratios and advantages, and exactly where the gradient vanishes', (t) => {
  // Ratio, advantage, loss, d(loss)/d(log-ratio); range 0.8 to 1.3.
  const table: readonly (readonly [number, number, number, number])[] = [
    [0.5, 1, -0.5, -0.5],
    [0.8, 2, -1.6, -1.6],
    [1, 1, -1, -1],
    [1.2, 1, -1.2, -1.2],
    [1.31, 1, -1.3, 0],
    [5, 2, -2.6, 0],
    [0.5, -1, 0.8, 0],
    [0.79, -2, 1.6, 0],
    [0.81, -2, 1.62, 1.62],
    [1, -1, 1, 1],
    [1.5, -1, 1.5, 1.5],
    [5, -2, 10, 10],
  ];
  for (const [ratio, advantage, loss, slope] of table) {
    const range = { epsilon: 0.2, epsilonHigh: 0.3 };
    const found = clippedSurrogate(Math.log(ratio), advantage, range);
    // Logarithm and exponential lose a few ulps.
    assertNear(t, [found.loss, found.slope], [loss, slope], 1e-13);
    t.is(found.clippedLow || found.clippedHigh, slope === 0, `${ratio}, ${advantage}`);
  }
});

test('two-sided clipping caps what a negative advantage can cost', (t) => {
  const range = { epsilon: 0.2, epsilonHigh: 0.2, delta: 3 };
  const capped = clippedSurrogate(Math.log(5), -2, range);
  assertNear(t, [capped.loss, capped.slope], [6, 0], 1e-13);
  const below = clippedSurrogate(Math.log(2.5), -2, range);
  assertNear(t, [below.loss, below.slope], [5, 5], 1e-13);
});

test('ratios at 1000 nats stay finite', (t) => {
  for (const logRatio of [-1e3, 1e3]) {
    for (const advantage of [-1, 1]) {
      const range = { epsilon: 0.2, epsilonHigh: 0.2 };
      const { loss, slope } = clippedSurrogate(logRatio, advantage, range);
      t.true(Number.isFinite(loss) && Number.isFinite(slope));
    }
  }
});

test('the ratio is exactly 1 before the first step', (t) => {
  const rows = freshGroups(3, [
    [1, 0, 0, 2],
    [0, 1, 0, 1],
  ]);
  for (const lossType of ['grpo', 'dapo'] as const) {
    for (const importanceSamplingLevel of ['token', 'sequence']) {
      const objective = grpo.make({ lossType, importanceSamplingLevel });
      const ready = prepared(objective, rows);
      const { sampleTokens, samples } = totalsOf(ready);
      const evaluation = evaluateAll(objective, ready);
      ready.forEach(({ sequences }, r) => {
        sequences.forEach(({ advantages }, s) => {
          const length = advantages!.length;
          const by = lossType === 'grpo' ? samples * length : sampleTokens;
          const expected = advantages!.map((a) => -a / by);
          t.deepEqual(evaluation.gradients[r]![s]!.logProbs, expected);
        });
      });
      t.is(evaluation.metrics['clip_ratio/region_mean']!.sum, 0);
    }
  }
});

test('aggregation of +1 on three tokens and -1 on four', (t) => {
  const rows = [
    group(
      response(3, { advantages: doubles([1, 1, 1]) }),
      response(4, { advantages: doubles([-1, -1, -1, -1]) }),
    ),
  ];
  const loss = (options: object): number => evaluateAll(grpo.make({ ...options }), rows).loss;
  assertNear(t, [loss({ lossType: 'grpo' })], [0], 1e-15);
  assertNear(t, [loss({ lossType: 'dapo' })], [1 / 7], 1e-15);
  assertNear(t, [loss({ lossType: 'dr_grpo', maxCompletionLength: 8 })], [1 / 16], 1e-15);
});

test('group rewards 1, 0, 0, 2 become the known advantages', (t) => {
  const rows = freshGroups(4, [[1, 0, 0, 2]]);
  const found = (objective: Objective): number[] => advantagesOf(prepared(objective, rows));
  assertNear(t, found(grpo.make()), [0.261089, -0.783268, -0.783268, 1.305446], 1e-6);
  assertNear(t, found(grpo.make({ ddof: 0 })), [0.301475, -0.904425, -0.904425, 1.507375], 1e-6);
  assertNear(t, found(rloo.make({ beta: 0 })), [1 / 3, -1, -1, 5 / 3], float32);
  assertNear(t, found(reinforce.make({ klCoef: 0 })), [1 / 3, -1, -1, 5 / 3], float32);
  assertNear(t, found(reinforce.make({ klCoef: 0, baseline: 'none' })), [1, 0, 0, 2], float32);
  const mean = [0.25, -0.75, -0.75, 1.25];
  assertNear(t, found(reinforce.make({ klCoef: 0, baseline: 'group' })), mean, float32);
});

test('a batch baseline is the mean over all groups', (t) => {
  const rows = freshGroups(5, [
    [1, 0, 0, 2],
    [null, 5, 4, 3],
  ]);
  const objective = reinforce.make({ klCoef: 0, baseline: 'batch' });
  const found = advantagesOf(prepared(objective, rows));
  const mean = 15 / 7;
  const rewards = [1, 0, 0, 2, mean, 5, 4, 3];
  assertNear(
    t,
    found,
    rewards.map((reward) => reward - mean),
    float32,
  );
});

const summedKl = ({ behaviour, reference }: Row['sequences'][number]): number =>
  total(doubles(Array.from(behaviour!, (log, i) => log - reference![i]!)));

test('where the KL goes: in the reward, after the baseline, at each token', (t) => {
  const rewards = [1, 0, 0, 2];
  const rows = freshGroups(6, [rewards]);
  const { sequences } = rows[0]!;
  const kl = sequences.map(summedKl);
  const beta = 0.3;
  const leaveOneOut = (values: number[]): number[] =>
    values.map((v, i) => v - (values.reduce((a, b) => a + b) - values[i]!) / 3);
  const penalised = rewards.map((reward, i) => reward - beta * kl[i]!);
  for (const make of [
    (placement: string) => rloo.make({ beta, klPlacement: placement, level: 'token' }),
    (placement: string) => reinforce.make({ klCoef: beta, klPlacement: placement }),
  ]) {
    const inReward = advantagesOf(prepared(make('reward'), rows));
    assertNear(t, inReward, leaveOneOut(penalised), float32);
    const after = leaveOneOut(rewards).map((a, i) => a - beta * kl[i]!);
    assertNear(t, advantagesOf(prepared(make('advantage'), rows)), after, float32);
    // At the first token all of the KL is still to come; at the last one its own.
    const ready = prepared(make('token'), rows);
    assertNear(t, advantagesOf(ready), after, float32);
    ready[0]!.sequences.forEach(({ advantages, behaviour, reference }, i) => {
      const last = advantages!.length - 1;
      const own = behaviour![last]! - reference![last]!;
      assertNear(t, [advantages![last]!], [leaveOneOut(rewards)[i]! - beta * own], float32);
    });
  }
});

test('rloo by sequence or token ratio is the same before the first step, and not after', (t) => {
  const rows = freshGroups(7, [[1, 0, 0, 2]]);
  const [bySequence, byToken] = [rloo.make(), rloo.make({ level: 'token' })];
  const ready = prepared(bySequence, rows);
  t.deepEqual(slopesOf(bySequence, ready), slopesOf(byToken, ready));
  const moved = ready.map((row) =>
    withSequences(row, (one) => ({
      ...one,
      logProbs: doubles([...one.logProbs].map((x) => x / 2)),
    })),
  );
  t.notDeepEqual(slopesOf(bySequence, moved), slopesOf(byToken, moved));
});

test('rloo: a response outside the clip has no gradient at any token', (t) => {
  const far = (by: number, advantage: number): Row['sequences'][number] =>
    response(3, {
      behaviour: doubles([-0.7 - by, -0.7, -0.7]),
      advantages: doubles([advantage, advantage, advantage]),
    });
  const rows = [group(far(0.3, 1), far(0.3, -1), far(-0.3, 1), far(-0.3, -1))];
  const slopes = slopesOf(rloo.make({ beta: 0 }), rows);
  noGradient(t, slopes[0]!);
  noGradient(t, slopes[3]!);
  // d(-rho A)/dlogp over 4 samples.
  assertNear(t, slopes[1]!, new Array<number>(3).fill(Math.exp(0.3) / 4), float32);
  assertNear(t, slopes[2]!, new Array<number>(3).fill(-Math.exp(-0.3) / 4), float32);
});

test('rloo: rewards are bounded before the KL, and logged as they are', (t) => {
  const rows = freshGroups(8, [[100, 0, 0, -50]]);
  const objective = rloo.make({ beta: 0, rewardMin: -1, rewardMax: 2 });
  const ready = prepared(objective, rows);
  assertNear(t, advantagesOf(ready), [2 + 1 / 3, -1 / 3, -1 / 3, -5 / 3], 5e-7);
  t.is(evaluateAll(objective, ready).metrics.reward!.sum, 50);
});

test('rloo: normalised advantages have mean 0 and deviation 1 over the judged samples', (t) => {
  const rows = freshGroups(9, [
    [3, 0, 0, 2],
    [null, 7, 1, 3],
    [null, null, 5, null],
  ]);
  const objective = rloo.make({ beta: 0, normalizeAdvantages: true });
  const found = advantagesOf(prepared(objective, rows));
  const judged = [0, 1, 2, 3, 5, 6, 7].map((i) => found[i]!);
  const mean = judged.reduce((a, b) => a + b) / 7;
  const variance = judged.reduce((sum, a) => sum + (a - mean) ** 2, 0) / 6;
  assertNear(t, [mean], [0], float32);
  // 1e-4 stands beside a deviation of about 3.
  assertNear(t, [variance], [1], 2e-4);
  noGradient(
    t,
    [4, 8, 9, 10, 11].map((i) => found[i]!),
  );
});

const onSamples = [
  reinforce.make(),
  rloo.make(),
  grpo.make({ beta: 0.1, entropyCoef: 0.1 }),
  grpo.make({ lossType: 'cispo', epsilonHigh: 3 }),
];

test('a sample that could not be judged gets no gradient and moves no other', (t) => {
  for (const objective of onSamples) {
    const three = freshGroups(10, [[1, 0, 5, 0]]).map((row) => ({
      ...row,
      sequences: row.sequences.slice(0, 3),
    }));
    for (const unknown of [null, Number.NaN]) {
      const four = freshGroups(10, [[1, 0, 5, unknown]]);
      const ready = prepared(objective, four);
      const [alone, beside] = [prepared(objective, three), ready].map(advantagesOf);
      t.deepEqual(beside!.slice(0, 3), alone, objective.name);
      const evaluation = evaluateAll(objective, ready);
      t.deepEqual(evaluation.gradients[0]![3], {}, objective.name);
      t.deepEqual(evaluation.metrics.reward, { sum: 6, weight: 3 });
      t.deepEqual(evaluation.metrics['completions/unjudged_ratio'], { sum: 1, weight: 4 });
    }
  }
});

test('equal rewards, and a group of one, move nothing', (t) => {
  for (const objective of [rloo.make({ beta: 0 }), reinforce.make({ klCoef: 0 }), grpo.make()]) {
    for (const reward of [0.1, 1e8]) {
      const rows = prepared(objective, freshGroups(11, [[reward, reward, reward, reward]]));
      slopesOf(objective, rows).forEach((slopes) => {
        noGradient(t, slopes);
      });
      const { metrics } = evaluateAll(objective, rows);
      t.deepEqual(metrics.frac_reward_zero_std, { sum: 1, weight: 1 });
    }
    const one = prepared(objective, [group(response(3, { reward: 7 }))]);
    noGradient(t, slopesOf(objective, one)[0]!);
  }
});

test('permuting samples and groups permutes gradients', (t) => {
  const order = [2, 0, 3, 1];
  for (const objective of onSamples) {
    const rows = rowsFor(objective, 12);
    const slopes = slopesOf(objective, rows);
    const permuted = rows
      .map((row) => ({ ...row, sequences: order.map((s) => row.sequences[s]!) }))
      .toReversed();
    const found = slopesOf(objective, objective.prepare!(permuted));
    rows.toReversed().forEach((_, r) => {
      order.forEach((s, i) => {
        const there = slopes[(rows.length - 1 - r) * 4 + s]!;
        assertNear(t, found[r * 4 + i]!, there, float32);
      });
    });
  }
});

test('GSPO: one ratio from the mean log-ratio', (t) => {
  const behaviour = doubles([-0.8, -0.5, -0.9]);
  const one = response(3, { behaviour, advantages: doubles([1, 1, 1]) });
  const objective = grpo.make({ importanceSamplingLevel: 'sequence', lossType: 'grpo' });
  const { loss, gradients } = evaluateAll(objective, [group(one)]);
  const ratio = Math.exp((0.1 - 0.2 + 0.2) / 3);
  assertNear(t, [loss], [-ratio], 1e-12);
  assertNear(
    t,
    gradients[0]![0]!.logProbs!,
    [0, 1, 2].map(() => -ratio / 3),
    float32,
  );
});

test('CISPO weighs by the capped ratio and drops no token', (t) => {
  const behaviour = doubles([-2.7, -0.7, -0.2]);
  const one = response(3, { behaviour, advantages: doubles([1, 1, 1]) });
  const objective = grpo.make({ lossType: 'cispo', epsilonHigh: 3 });
  const { gradients, metrics } = evaluateAll(objective, [group(one)]);
  const weights = [3, 1, Math.exp(-0.5)];
  assertNear(
    t,
    gradients[0]![0]!.logProbs!,
    weights.map((w) => -w / 3),
    float32,
  );
  t.deepEqual(metrics.cispo_clip_ratio, { sum: 1, weight: 3 });
});

test('a masked truncated response counts in the mean of its group, not in the loss', (t) => {
  const rows = freshGroups(13, [[1, 0, 0, 2]]).map((row) =>
    withSequences(row, (one, s) => ({ ...one, truncated: s === 3 })),
  );
  for (const lossType of ['dapo', 'grpo']) {
    const masked = grpo.make({ lossType, maskTruncatedCompletions: true });
    const plain = grpo.make({ lossType });
    t.is(masked.coupled ?? false, lossType === 'dapo');
    const ready = prepared(masked, rows);
    t.deepEqual(advantagesOf(ready), advantagesOf(prepared(plain, rows)));
    const [with_, without] = [masked, plain].map((objective) => slopesOf(objective, ready));
    t.deepEqual(with_![3], []);
    const tokens = ready[0]!.sequences.map(({ logProbs }) => logProbs.length);
    const all = tokens.reduce((a, b) => a + b);
    const factor = lossType === 'dapo' ? all / (all - tokens[3]!) : 1;
    assertNear(
      t,
      with_![0]!,
      without![0]!.map((slope) => slope * factor),
      float32,
    );
  }
});

test('grpo: the KL in the loss is k3, with its derivative', (t) => {
  const one = response(1, { reference: doubles([-0.5]), advantages: doubles([0]) });
  const { loss, gradients, metrics } = evaluateAll(grpo.make({ beta: 2 }), [group(one)]);
  const k3 = Math.exp(0.2) - 1 - 0.2;
  assertNear(t, [loss, metrics.kl!.sum], [2 * k3, k3], 1e-12);
  assertNear(t, gradients[0]![0]!.logProbs!, [2 * (1 - Math.exp(0.2))], float32);
});

test('options that exclude one another are refused by name', (t) => {
  const refused = (make: () => unknown, pattern: RegExp): void => {
    const error = t.throws(make, { instanceOf: AlignlabError });
    t.is(error.code, 'OPTION_INVALID');
    t.regex(error.message, pattern);
  };
  refused(() => grpo.make({ lossType: 'dr_grpo' }), /maxCompletionLength/);
  refused(() => grpo.make({ maxCompletionLength: 8 }), /maxCompletionLength/);
  refused(() => grpo.make({ lossType: 'cispo' }), /epsilonHigh/);
  refused(() => grpo.make({ lossType: 'cispo', epsilonHigh: 5, epsilon: 0.1 }), /epsilon/);
  refused(() => grpo.make({ lossType: 'cispo', epsilonHigh: 5, delta: 6 }), /delta/);
  refused(() => grpo.make({ delta: 1.1 }), /delta/);
  refused(() => grpo.make({ ddof: 0.5 }), /ddof/);
  refused(() => grpo.make({ ddof: 0, scaleRewards: 'none' }), /ddof/);
  refused(() => rloo.make({ klPlacement: 'token' }), /level/);
  refused(() => rloo.make({ rewardMin: 1, rewardMax: 0 }), /rewardMin/);
});

test('a reference is asked for only where it is used', (t) => {
  t.deepEqual(
    [grpo.make(), grpo.make({ beta: 0.1 }), rloo.make(), rloo.make({ beta: 0 })].map(
      ({ needs }) => needs.reference,
    ),
    [false, true, true, false],
  );
});

test('missing and infinite rewards, and samples that were not prepared, are errors', (t) => {
  const [row] = freshGroups(14, [[1, 0, 0, 2]]);
  const refused = (rows: readonly Row[], code: ErrorCode): void => {
    for (const objective of onSamples) {
      const error = t.throws(() => objective.prepare!(rows), { instanceOf: AlignlabError });
      t.is(error.code, code);
    }
  };
  refused([withSequences(row!, ({ reward: _, ...rest }) => rest)], 'DATA_INVALID');
  refused([withSequences(row!, (one) => ({ ...one, reward: Infinity }))], 'JUDGE_FAILED');
  for (const objective of onSamples) {
    t.throws(() => evaluateAll(objective, [row!]), { message: /no advantages.*prepare/ });
  }
});
