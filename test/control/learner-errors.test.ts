// What a learner refuses, and what it says: each error names what was found and the way out.
import test from 'ava';
import { createLearner, type LearnerOptions, type Transitions } from '../../src/control/learner.js';
import { presetOptions } from '../../src/control/presets.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { obsDim, small, transitions } from './learner-fixtures.js';

const real = transitions(40, 1);

const refusals: [string, Partial<Record<keyof LearnerOptions, unknown>>, RegExp][] = [
  ['an unknown option', { learningrate: 1 } as object, /no option "learningrate".*learningRate/s],
  ['an unknown algorithm', { algorithm: 'ppo' }, /algorithm must be one of sac, cql.*ppo/],
  ['no layers', { hidden: [] }, /hidden must be 1 to 8/],
  ['a width of zero', { hidden: [8, 0] }, /each width of hidden.*got 0/],
  ['a batch of 2.5', { batch: 2.5 }, /batch must be a whole number/],
  ['a NaN learning rate', { learningRate: NaN }, /learningRate must be.*NaN/],
  ['a gamma above 1', { gamma: 1.1 }, /gamma must be from 0 to 1, got 1.1/],
  ['scales of too few numbers', { observationScale: [1, 2] }, /observationScale must be 3 numbers/],
  ['a scale of zero', { observationScale: [1, 0, 1] }, /number of observationScale.*not 0, got 0/],
  ['a reward scale of zero', { reward: { scale: 0 } }, /reward.scale must be a number above 0/],
  ['an infinite shift', { reward: { shift: Infinity } }, /reward.shift must be finite/],
  ['an unknown unit', { reward: { factor: 2 } }, /reward has no option "factor"/],
  ['no real rows', { realRatio: 0 }, /gives 0 real rows; h2o needs at least one of each/],
  ['the same seed twice', { seeds: [1, 2, 1n] }, /seed 1 is given twice/],
  ['a broken seed', { seeds: [0.5] }, /whole number, got 0.5/],
  ['no seeds', { seeds: [] }, /at least one seed/],
  ['an unknown spread', { h2o: { nextStd: 'none' } }, /nextStd must be paper-code, data, one-step/],
  ['bounds in the wrong order', { h2o: { ratioRange: [1, 0.1] } }, /ratioRange/],
  ['an unknown ablation', { h2o: { penalties: false } }, /h2o has no option "penalties".*penalty/s],
  ['a weight of no penalty', { h2o: { penalty: false, beta: 1 } }, /h2o.beta has no effect/],
  ["another algorithm's option", { cql: { weight: 1 } }, /cql has no effect on the algorithm h2o/],
  ['a target of no entropy', { alpha: 0.1, targetEntropy: 1 }, /targetEntropy has no effect/],
  ['a negative capacity', { capacity: -1 }, /capacity must be a whole number/],
];
for (const [what, options, message] of refusals) {
  test(`refused: ${what}`, async (t) => {
    const error = await caught(() =>
      createLearner({ ...small, algorithm: 'h2o', ...options } as LearnerOptions, real),
    );
    assertError(t, error, 'OPTION_INVALID', message);
  });
}

test('refused: real data that is missing, or not wanted', async (t) => {
  assertError(
    t,
    await caught(() => createLearner({ ...small, algorithm: 'h2o' })),
    'OPTION_INVALID',
    /h2o learns from real data too/,
  );
  assertError(
    t,
    await caught(() => createLearner({ ...small, algorithm: 'sac' }, real)),
    'OPTION_INVALID',
    /Leave the real data out/,
  );
});

const withNaN = (column: 'obs' | 'act' | 'rew' | 'next', at: number): Transitions => {
  const rows = transitions(10, 2);
  rows[column][at] = NaN;
  return rows;
};

test('refused: numbers that are not finite, by row and column; nothing is added', async (t) => {
  const learner = createLearner({ ...small, algorithm: 'h2o' }, real);
  const cases = [
    [withNaN('act', 7), /Row 3 .*nan in column 1 of its action/],
    [withNaN('obs', 5), /Row 1 .*column 2 of its observation/],
    [withNaN('rew', 9), /Row 9 .*reward/],
    [withNaN('next', 0), /Row 0 .*next observation/],
  ] as const;
  for (const [rows, message] of cases) {
    assertError(
      t,
      await caught(() => {
        learner.push(rows);
      }),
      'DATA_INVALID',
      message,
    );
  }
  t.is(learner.size(), 0);
  const broken = await caught(() =>
    createLearner({ ...small, algorithm: 'h2o' }, withNaN('act', 0)),
  );
  assertError(t, broken, 'DATA_INVALID', /the real data.*action/);
});

test('refused: columns of other lengths, members that are not there', async (t) => {
  const learner = createLearner({ ...small, algorithm: 'h2o' }, real);
  const rows = transitions(4, 2);
  const short = { ...rows, act: rows.act.subarray(1) };
  assertError(
    t,
    await caught(() => {
      learner.push(short);
    }),
    'DATA_INVALID',
    /column act has 7 numbers, but 4 transitions of width 2 have 8.*actDim 2/s,
  );
  assertError(
    t,
    await caught(() => {
      learner.push(rows, 1);
    }),
    'OPTION_INVALID',
    /no member 1/,
  );
  const out = new Float32Array(2);
  assertError(
    t,
    await caught(() => {
      learner.act(new Float32Array(2), 1, 'mean', out);
    }),
    'OPTION_INVALID',
    /obs must be a Float32Array of 3 numbers, got 2/,
  );
  assertError(
    t,
    await caught(() => {
      learner.act(new Float32Array(obsDim), 1, 'best' as 'mean', out);
    }),
    'OPTION_INVALID',
    /sample or mean, got best/,
  );
  assertError(
    t,
    await caught(() => learner.transitions('real', { first: 30, count: 20 })),
    'OPTION_INVALID',
    /30 to 49 were asked for; there are 40/,
  );
});

test('refused: updates without transitions, or of no number', async (t) => {
  const learner = createLearner({ ...small, algorithm: 'h2o', seeds: [3, 8] }, real);
  learner.push(real, 0);
  assertError(
    t,
    await caught(async () => learner.update(1)),
    'DATA_INVALID',
    /seed 8 has no simulated transitions yet/,
  );
  assertError(t, await caught(async () => learner.update(0)), 'OPTION_INVALID', /from 1 up, got 0/);
});

test('refused: other calls while an update is under way, all calls after dispose', async (t) => {
  const learner = createLearner({ ...small, algorithm: 'h2o' }, real);
  learner.push(real);
  const running = learner.update(50);
  const out = new Float32Array(2);
  assertError(
    t,
    await caught(() => {
      learner.act(new Float32Array(obsDim), 1, 'mean', out);
    }),
    'OPTION_INVALID',
    /still under way.*Wait for its promise/s,
  );
  await running;
  learner.act(new Float32Array(obsDim), 1, 'mean', out);
  const last = learner.update(50);
  learner.dispose();
  learner.dispose();
  t.is((await last).length, 1);
  assertError(t, await caught(() => learner.state()), 'DISPOSED', /disposed/);
});

test('an aborted update stops, and the learner goes on', async (t) => {
  const learner = createLearner({ ...small, algorithm: 'h2o' }, real);
  learner.push(real);
  const controller = new AbortController();
  const running = learner.update(1_000_000, { signal: controller.signal });
  setTimeout(() => {
    controller.abort(new Error('enough'));
  }, 20);
  await t.throwsAsync(running, { message: 'enough' });
  const { step } = learner;
  t.true(step < 1_000_000);
  await learner.update(2);
  t.is(learner.step, step + 2);
});

test('refused: states that are damaged or of another learner', async (t) => {
  const learner = createLearner({ ...small, algorithm: 'h2o' }, real);
  const state = learner.state();
  const refused = async (bytes: Uint8Array, message: RegExp): Promise<void> => {
    assertError(
      t,
      await caught(() => {
        learner.restore(bytes);
      }),
      'DATA_INVALID',
      message,
    );
  };
  await refused(new Uint8Array(3), /not the saved state|cut short/);
  await refused(new Uint8Array(100), /not the saved state/);
  await refused(state.subarray(0, state.length - 1), /cut short/);
  await refused(createLearner({ ...small, algorithm: 'h2o', seeds: [2] }, real).state(), /other/);
  await refused(createLearner({ ...small, algorithm: 'mix' }, real).state(), /another algorithm/);
});

test('a loss that overflows is told', async (t) => {
  const learner = createLearner({ ...small, algorithm: 'sac' });
  const rows = transitions(40, 3);
  learner.push({ ...rows, rew: rows.rew.map(() => 3e38) });
  assertError(
    t,
    await caught(async () => learner.update(20)),
    'NON_FINITE',
    /seed 0 is not finite at update \d+.*Restore/s,
  );
});

test('refused: a preset that is not there', async (t) => {
  assertError(
    t,
    await caught(() => presetOptions('papper' as 'paper', 'h2o')),
    'OPTION_INVALID',
    /no preset "papper".*paper/s,
  );
});
