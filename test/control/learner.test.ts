// Learners through their TypeScript face: every algorithm trains, members and resumed runs are
// exact, and a policy gets better where getting better is easy.
import test from 'ava';
import {
  actingLearner,
  createLearner,
  type Learner,
  type LearnerMetrics,
} from '../../src/control/learner.js';
import { algorithms } from '../../src/control/learner-options.js';
import { native, settle } from '../../src/engine/native.js';
import { random } from '../../src/data/random.js';
import { assertBitEqual } from '../helpers/arrays.js';
import {
  actDim,
  differ,
  made,
  obsDim,
  parametersAfter,
  real,
  sim,
  small,
  transitions,
} from './learner-fixtures.js';

const expected: Record<string, (keyof LearnerMetrics)[]> = {
  sac: ['qSim'],
  cql: ['penalty', 'qReal'],
  darc: ['qSim', 'meanW', 'meanRootW', 'floorFraction', 'dSaLoss', 'dSasLoss'],
  'darc+': ['qReal', 'qSim', 'meanW', 'meanRootW', 'floorFraction', 'dSaLoss', 'dSasLoss'],
  mix: ['qReal', 'qSim'],
  h2o: [
    'penalty',
    'qReal',
    'qSim',
    'meanW',
    'meanRootW',
    'floorFraction',
    'meanU',
    'clampedU',
    'dSaLoss',
    'dSasLoss',
  ],
};

for (const algorithm of algorithms) {
  test(`${algorithm} trains, and tells its metrics`, async (t) => {
    const learner = made({ algorithm, seeds: [5, 6n] });
    const before = learner.parameters(1);
    const metrics = await learner.update(4);
    t.is(learner.step, 4);
    t.is(metrics.length, 2);
    for (const member of metrics) {
      t.deepEqual(
        Object.keys(member).toSorted(),
        [
          'qLoss',
          'bellmanLoss',
          'policyLoss',
          'alpha',
          'entropy',
          ...expected[algorithm]!,
        ].toSorted(),
      );
      t.true(Object.values(member).every((value) => Number.isFinite(value)));
    }
    const after = learner.parameters(1);
    // Every network moves: of all parameters but those of units that never fire.
    const moved = after.filter((x, i) => x !== before[i]).length;
    t.true(moved > 0.7 * after.length, `${moved} of ${after.length} moved`);
    learner.dispose();
  });
}

test('without its penalty H2O trains every network still', async (t) => {
  const learner = made({ algorithm: 'h2o', h2o: { penalty: false } });
  const before = learner.parameters();
  const [metrics] = await learner.update(3);
  t.is(metrics!.penalty, undefined);
  const moved = learner.parameters().filter((x, i) => x !== before[i]).length;
  t.true(moved > 0.7 * before.length);
  learner.dispose();
});

test('a member of many is the run of its seed', async (t) => {
  const many = made({ algorithm: 'h2o', seeds: [9, 4, 7] });
  const metrics = await many.update(6);
  const alone = made({ algorithm: 'h2o', seeds: [4] });
  const [metricsAlone] = await alone.update(6);
  t.deepEqual(metrics[1], metricsAlone!);
  assertBitEqual(t, many.parameters(1), alone.parameters(), 'parameters');
  const obs = transitions(4, 3).obs;
  const actions = (learner: Learner, member: number): Float32Array => {
    const out = new Float32Array(4 * actDim);
    learner.act(obs, 4, 'sample', out, member);
    return out;
  };
  assertBitEqual(t, actions(many, 1), actions(alone, 0), 'actions');
  t.true(differ(actions(many, 0), actions(many, 2)));
});

test.serial('the number of threads changes no bit', async (t) => {
  const { threads } = native().state();
  const results: Float32Array[] = [];
  for (const count of [1, 2]) {
    await settle(native().setThreads(count));
    results.push(await parametersAfter({ algorithm: 'h2o', seeds: [1, 2, 3] }));
  }
  await settle(native().setThreads(threads));
  assertBitEqual(t, results[1]!, results[0]!, 'parameters');
});

test('a restored run goes on as the first one', async (t) => {
  const first = made({ algorithm: 'h2o', seeds: [1, 2] });
  await first.update(5);
  const saved = first.state();
  const second = createLearner({ ...small, algorithm: 'h2o', seeds: [1, 2] }, real);
  second.restore(saved);
  t.is(second.step, 5);
  t.deepEqual(second.transitions(1), first.transitions(1));
  for (const learner of [first, second]) {
    learner.push(transitions(50, 8), 1);
    await learner.update(5);
  }
  assertBitEqual(t, second.parameters(1), first.parameters(1), 'parameters');
  t.deepEqual(second.state(), first.state());
});

test('a state without transitions restores the networks alone', async (t) => {
  const first = made({ algorithm: 'sac' });
  await first.update(3);
  const light = first.state({ transitions: false });
  t.true(light.length < first.state().length - 300 * 4 * obsDim);
  const second = createLearner({ ...small, algorithm: 'sac' });
  second.push(transitions(20, 3));
  second.restore(light);
  t.is(second.size(), 20);
  assertBitEqual(t, second.parameters(), first.parameters(), 'parameters');
});

test('transitions come back as they went in, the newest of them', (t) => {
  const learner = made({ algorithm: 'h2o', capacity: 120 });
  t.is(learner.size('real'), 200);
  t.deepEqual(learner.transitions('real'), real);
  t.is(learner.size(), 120);
  const kept = learner.transitions(0, { first: 100 });
  t.deepEqual(kept.obs, sim.obs.slice(280 * obsDim));
  t.deepEqual(kept.act, sim.act.slice(280 * actDim));
  t.deepEqual(kept.next, sim.next.slice(280 * obsDim));
  t.deepEqual([...kept.rew], [...sim.rew.slice(280)]);
  t.deepEqual([...kept.done], [...sim.done.slice(280)]);
});

test('inspection: Q of both critics, log ratios and gaps within their bounds', async (t) => {
  const learner = made({ algorithm: 'h2o', discriminator: { logitScale: 1.5 } });
  await learner.update(30);
  const { q1, q2, logRatio, gap } = learner.inspect(sim);
  t.true([q1, q2, logRatio!, gap!].every((values) => values.length === 300));
  t.true(differ(q1, q2));
  t.true(logRatio!.every((x) => Math.abs(x) <= 3.0001));
  t.true(gap!.every((u) => u >= 0.99e-30 && u <= 3.0001));
  t.deepEqual(learner.inspect(sim).gap, gap);
  const sac = made({ algorithm: 'sac' });
  t.deepEqual(Object.keys(sac.inspect(sim)), ['q1', 'q2']);
});

// Reward -|a - f(s)|^2 and the end: the best action is f(s) = tanh(s_0), -s_1 / 2.
const bandit = (n: number): Parameters<Learner['push']>[0] => {
  const base = transitions(n, 4);
  const stream = random(5, 'actions');
  const act = base.act.map(() => 2 * stream.uniform() - 1);
  const rew = Float32Array.from({ length: n }, (_, i) => {
    const s = base.obs.subarray(i * obsDim);
    const a = act.subarray(i * actDim);
    return -((a[0]! - Math.tanh(s[0]!)) ** 2) - (a[1]! + Math.tanh(s[1]!) / 2) ** 2;
  });
  return { ...base, act, rew, done: new Uint8Array(n).fill(1) };
};

for (const algorithm of ['sac', 'cql', 'mix', 'h2o'] as const) {
  test(`${algorithm} finds the best action where one step is all`, async (t) => {
    const data = bandit(4000);
    const learner = createLearner(
      {
        ...small,
        algorithm,
        hidden: [32, 32],
        batch: 64,
        learningRate: 3e-3,
        ...(algorithm === 'cql' ? { cql: { weight: 0.1, actions: 4 } } : {}),
      },
      algorithm === 'sac' ? undefined : data,
    );
    if (algorithm !== 'cql') learner.push(data);
    await learner.update(1500);
    const { obs, n } = transitions(200, 6);
    const out = new Float32Array(n * actDim);
    learner.act(obs, n, 'mean', out);
    let error = 0;
    for (let i = 0; i < n; ++i) {
      error += (out[2 * i]! - Math.tanh(obs[3 * i]!)) ** 2 / n;
      error += (out[2 * i + 1]! + Math.tanh(obs[3 * i + 1]!) / 2) ** 2 / n;
    }
    // 0.5 for the action 0 always, about 1.2 for uniform ones.
    t.true(error < 0.1, `mean squared error ${error}`);
    learner.dispose();
  });
}

test('one member as what builds datasets', async (t) => {
  const learner = createLearner({ ...small, algorithm: 'sac', batch: 8 });
  const acting = actingLearner(learner);
  const rows = transitions(10, 3);
  for (let i = 0; i < 10; ++i) {
    const row = (array: Float32Array, width: number): Float32Array =>
      array.subarray(i * width, (i + 1) * width);
    acting.push(
      row(rows.obs, obsDim),
      row(rows.act, actDim),
      rows.rew[i]!,
      row(rows.next, obsDim),
      rows.done[i] === 1,
    );
  }
  t.deepEqual(learner.transitions(), rows);
  await acting.update(3);
  const out = new Float32Array(actDim);
  acting.act(rows.obs.subarray(0, obsDim), 1, 'mean', out);
  const saved = acting.state();
  await acting.update(3);
  acting.restore(saved);
  const again = new Float32Array(actDim);
  acting.act(rows.obs.subarray(0, obsDim), 1, 'mean', again);
  assertBitEqual(t, again, out, 'action');
  acting.dispose();
});
