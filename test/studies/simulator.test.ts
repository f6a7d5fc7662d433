// The simulator study: all its experiments at sizes at which nothing is learned, its report, that a
// second run computes nothing, and a training that goes on after it was killed.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { CellRecipe, Plan, Recipe } from '../../src/studies/simulator/recipe.js';
import { cudaInfo } from '../../src/engine/device.js';
import { recipeOf, recipes, simulator } from '../../src/studies/simulator/index.js';
import type { StageEvent } from '../../src/studies/study.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';

const { ci, cpu } = recipes;
const sizes = { hidden: [16, 16], batch: 16, learningRate: 1e-3 };
const plan: Plan = { steps: 60, chunk: 30, evaluateEvery: 60, episodes: 1 };
const cell: CellRecipe = { algorithms: ['h2o', 'sac', 'mix', 'darc', 'darc+'], plan };

const small: Recipe = {
  ...cpu,
  scale: 'test',
  seeds: [1, 2],
  locomotion: {
    env: 'HalfCheetah',
    sizes,
    data: { ...ci.locomotion!.data, kinds: ['random'], transitions: 300 },
    cells: { 'joint noise': cell, gravity: cell, friction: cell, none: cell },
  },
  weights: { gaps: ['none', 'friction', 'gravity', 'joint noise'], bins: 4 },
  ablations: { gap: 'gravity', plan },
  pendulum: {
    ...ci.pendulum!,
    sizes,
    real: 400,
    simulated: 400,
    heldOut: 200,
    updates: 100,
    bins: 5,
  },
  wheelLegged: {
    sizes: { ...sizes, hidden: [8] },
    plan: { ...plan, slower: { from: 40, learningRate: 1e-4 } },
    algorithms: ['h2o', 'sac'],
    onRobot: true,
    actionRepeat: 4,
    learner: cpu.wheelLegged!.learner,
    h2o: cpu.wheelLegged!.h2o,
    dataSteps: 5001, // the first evaluation of SAC is at 5000
    trialSeconds: 1,
    trials: 2,
  },
  cql: { plan, sizes, fractions: [1, 0.1] },
  asserts: ['S3.9a'],
};

test.serial('every experiment: signatures, figures, and stages that are made once', async (t) => {
  const folder = join(await temporaryFolder(t), 'study');
  const events: StageEvent[] = [];
  const onEvent = (event: StageEvent): void => void events.push(event);
  let planned = 0;
  const onPlan = (stages: number): void => void (planned = stages);
  const found = await simulator({ recipe: small, folder, onEvent, onPlan, command: 'again' });
  const finished = events.filter(({ kind }) => kind === 'finished');
  t.is(finished.length, planned);
  // 4 cells of 5, 4 ablations, 6 of the robot, and from the fractions: both of CQL, the tenth of H2O,
  // whose arm with all of the data is that of its cell.
  const trained = (await readFile(join(folder, 'points.csv'), 'utf8')).trim().split('\n').slice(1);
  t.is(new Set(trained.map((line) => line.split(/,\d+,/)[0])).size, 20 + 4 + 6 + 3);
  const tested = found.signatures.filter(({ verdict }) => verdict !== 'not tested');
  const ids = tested.map(({ id }) => id);
  for (const id of ['R1a', 'R2', 'R3', 'R4', 'R5', 'S3.1', 'S3.3a', 'S3.3b', 'S3.3c', 'S3.4a']) {
    t.true(ids.includes(id), id);
  }
  for (const id of [
    'S3.4b',
    'S3.5a',
    'S3.5b',
    'S3.6',
    'S3.7',
    'S3.8a',
    'S3.8b',
    'S3.8c',
    'S3.9a',
  ]) {
    t.true(ids.includes(id), id);
  }
  t.false(ids.includes('R1b'), 'a difference of 1,000 is asked for from 128 units on');
  t.deepEqual(found.failed, []);
  const page = await readFile(found.report, 'utf8');
  for (const text of ['rollout-h2o-real', 'joint-noise-returns', 'weights-gap', 'pendulum-gap']) {
    t.true(page.includes(text), text);
  }
  // The robot's arms learn in two parts, between which a state is kept.
  t.deepEqual(
    await readdir(join(folder, 'unfinished')),
    [],
    'no state of a training that has ended',
  );
  const result = await readFile(join(folder, 'result.json'), 'utf8');
  events.length = 0;
  assertError(t, await caught(() => simulator({ recipe: small, folder })), 'RUN_INVALID', 'resume');
  const again = await simulator({ recipe: small, folder, resume: true, onEvent, command: 'again' });
  t.true(events.every(({ kind }) => kind === 'reused'));
  t.deepEqual(again.signatures, found.signatures);
  t.is(await readFile(join(folder, 'result.json'), 'utf8'), result);
});

const onlyPendulum: Recipe = { ...small, locomotion: null, weights: null, wheelLegged: null };

test.serial('two jobs find what one finds', async (t) => {
  const folder = await temporaryFolder(t);
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  const alone = await simulator({ recipe: onlyPendulum, folder: one });
  const both = await simulator({ recipe: onlyPendulum, folder: two, jobs: 2 });
  t.deepEqual(both.signatures, alone.signatures);
});

test('û is graded on the pendulum', async (t) => {
  const folder = join(await temporaryFolder(t), 'study');
  const recipe = { ...ci, pendulum: { ...ci.pendulum!, gravities: [1, 2] } };
  const { failed, signatures } = await simulator({ recipe, folder, only: ['pendulum'] });
  t.deepEqual(failed, []);
  const graded = signatures.find(({ id }) => id === 'S3.3a')!;
  t.true(graded.value! >= 0.9 && graded.value! <= 1, String(graded.value));
});

test('scales that there are not', async (t) => {
  assertError(t, await caught(() => recipeOf('qiuck')), 'OPTION_INVALID', 'quick');
  assertError(t, await caught(() => recipeOf('ci', { seeds: 0 })), 'OPTION_INVALID', 'seeds');
});

// Where there is a GPU the study would begin.
const withoutGpu = cudaInfo().devices.length === 0 ? test : test.skip;
withoutGpu('a scale for a device that there is not makes no folder', async (t) => {
  const folder = join(await temporaryFolder(t), 'study');
  const failed = await caught(() => simulator({ recipe: recipes.gpu, folder }));
  assertError(t, failed, 'DEVICE_UNAVAILABLE', 'cpu');
  await t.throwsAsync(readdir(folder), { code: 'ENOENT' });
});

test('seeds are those that were asked for', (t) => {
  t.deepEqual(recipeOf('quick', { seeds: 2 }).seeds, [1, 2]);
  t.is(recipeOf('quick'), recipes.quick);
});
