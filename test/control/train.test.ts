// The training loop: what it does in which order, exact resume, abort, its errors.
import test from 'ava';
import {
  type Env,
  type LearnerOptions,
  type TrainingRequest,
  type Transitions,
  collect,
  createLearner,
  evaluatePolicy,
  makeEnv,
  memberPolicy,
  trainOffDynamics,
  uniformPolicy,
} from '../../src/control/index.js';
import { derivedSeed, random } from '../../src/data/random.js';
import { code } from './helpers.js';

const gap = { gravity: 1.5 };
const small = {
  obsDim: 3,
  actDim: 1,
  hidden: [16, 16],
  batch: 16,
  learningRate: 1e-3,
} as const satisfies Partial<LearnerOptions>;

const pendulum = (given = {}): Promise<Env> =>
  makeEnv('Pendulum', { gap: given, maxEpisodeSteps: 40 });

let data: Transitions;
test.before(async () => {
  const policy = uniformPolicy(random(1, 'train test'));
  data = (await collect(await pendulum(), policy, 300)).columns;
});

const request = async (
  seeds: readonly number[],
  more: Partial<TrainingRequest> = {},
  options: Partial<LearnerOptions> = {},
): Promise<TrainingRequest> => {
  const algorithm = options.algorithm ?? 'h2o';
  const real = algorithm === 'sac' ? undefined : data;
  const sim = await Promise.all(seeds.map(() => pendulum(gap)));
  return {
    learner: createLearner({ ...small, algorithm, seeds, ...options }, real),
    sim: algorithm === 'cql' ? [] : sim,
    real: await pendulum(),
    steps: 150,
    chunk: 20,
    evaluateEvery: 50,
    episodes: 2,
    ...more,
  };
};

const parametersOf = ({ learner }: TrainingRequest): Float32Array[] =>
  Array.from({ length: learner.members }, (_, member) => learner.parameters(member));

test('as many updates as steps, and an evaluation at each of the named steps', async (t) => {
  const given = await request([1, 2]);
  const { curve } = await trainOffDynamics(given);
  t.is(given.learner.step, 150);
  t.is(given.learner.size(1), 150);
  t.deepEqual(
    curve.map(({ step }) => step),
    [50, 100, 150],
  );
  const [one, two] = curve.at(-1)!.members;
  t.true(Number.isFinite(one!.realReturn) && Number.isFinite(one!.simReturn));
  t.not(one!.realReturn, two!.realReturn);
  t.true(one!.metrics.meanRootW! > 0 && one!.metrics.meanRootW! <= 1);
  t.is(one!.metrics.qLoss > 0, true);
});

test('the evaluation is of the mean action in the nominal environment', async (t) => {
  const given = await request([1], { steps: 50 });
  const { curve } = await trainOffDynamics(given);
  const seed = derivedSeed(derivedSeed(1, 'training'), 'evaluation', 50);
  const policy = memberPolicy(given.learner, 0, 'mean');
  const again = await evaluatePolicy(await pendulum(), policy, { episodes: 2, seed });
  t.is(curve[0]!.members[0]!.realReturn, again.meanReturn);
  const inSim = await evaluatePolicy(await pendulum(gap), policy, { episodes: 2, seed });
  t.is(curve[0]!.members[0]!.simReturn, inSim.meanReturn);
});

test('transitions follow each other, also across chunks and evaluations', async (t) => {
  const given = await request([1], { steps: 100 });
  await trainOffDynamics(given);
  const { obs, next, n }: Transitions = given.learner.transitions(0);
  // Episodes of 40 steps begin at rows 0, 40 and 80.
  for (let i = 1; i < n; i += 1) {
    const follows = [0, 1, 2].every((k) => obs[3 * i + k] === next[3 * (i - 1) + k]);
    t.is(follows, i % 40 !== 0, `row ${i}`);
  }
});

test('a run that goes on from a saved state ends as the uninterrupted one', async (t) => {
  const whole = await request([1, 2]);
  const curve = await trainOffDynamics(whole);
  for (const saveEvery of [30, 60, 100]) {
    const states: Uint8Array[] = [];
    const controller = new AbortController();
    const first = await request([1, 2], {
      saveEvery,
      save: (state) => {
        states.push(state);
        controller.abort();
      },
      signal: controller.signal,
    });
    t.is(code(await t.throwsAsync(trainOffDynamics(first))), 'ABORTED');
    const second = await request([1, 2], { state: states[0]! });
    t.deepEqual(await trainOffDynamics(second), curve, `saved every ${saveEvery}`);
    t.deepEqual(parametersOf(second), parametersOf(whole));
  }
});

test('a member does the same alone and in an ensemble', async (t) => {
  const [alone, both] = [await request([2]), await request([1, 2])];
  const [one, two] = [await trainOffDynamics(alone), await trainOffDynamics(both)];
  t.deepEqual(
    one.curve.map(({ members }) => members[0]),
    two.curve.map(({ members }) => members[1]),
  );
  t.deepEqual(parametersOf(alone)[0], parametersOf(both)[1]);
});

test('SAC needs no data, CQL no simulator', async (t) => {
  const sac = await trainOffDynamics(await request([1], { steps: 50 }, { algorithm: 'sac' }));
  t.is(sac.curve[0]!.members[0]!.metrics.meanW, undefined);
  const cql = await trainOffDynamics(await request([1], { steps: 50 }, { algorithm: 'cql' }));
  t.is(cql.curve[0]!.members[0]!.simReturn, null);
});

test('what does not fit is refused', async (t) => {
  const refused = async (given: TrainingRequest): Promise<string> =>
    code(await t.throwsAsync(trainOffDynamics(given)));
  t.is(await refused(await request([1, 2], { sim: [await pendulum()] })), 'OPTION_INVALID');
  t.is(await refused(await request([1], { real: await makeEnv('WheelLegged') })), 'OPTION_INVALID');
  t.is(await refused(await request([1], { steps: 0 })), 'OPTION_INVALID');
  const used = await request([1], { steps: 50 });
  await trainOffDynamics(used);
  t.is(await refused({ ...used, steps: 100 }), 'OPTION_INVALID');
  let state = new Uint8Array();
  await trainOffDynamics(
    await request([1], { steps: 50, save: (bytes) => void (state = Uint8Array.from(bytes)) }),
  );
  state[100]! ^= 1;
  t.is(await refused(await request([1], { state })), 'DATA_INVALID');
  t.is(await refused(await request([1], { signal: AbortSignal.abort() })), 'ABORTED');
});
