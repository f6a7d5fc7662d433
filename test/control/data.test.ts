import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type BuildOptions, buildDataset } from '../../src/control/data/build.js';
import type { ActingLearner } from '../../src/control/data/learner.js';
import type { DatasetRecipe } from '../../src/control/data/recipe.js';
import { type TransitionColumns, sliceColumns } from '../../src/control/data/transitions.js';
import { evaluatePolicy, normalizedScore } from '../../src/control/environments/evaluate.js';
import { describeEnv, makeEnv } from '../../src/control/environments/make.js';
import { random } from '../../src/data/random.js';
import { temporaryFolder as folder } from '../checkpoint/helpers.js';
import { code } from './helpers.js';

/** A regulator of the wheel-legged robot whose gain grows with updates: it falls, then stands. */
class Apprentice implements ActingLearner {
  #updates = 0;
  #draws = 0;
  pushed = 0;
  disposed = false;

  push(): void {
    this.pushed += 1;
  }

  update(n: number): Promise<void> {
    this.#updates += n;
    return Promise.resolve();
  }

  act(obs: Float32Array, _rows: number, mode: 'sample' | 'mean', out: Float32Array): void {
    const skill = Math.min(1, this.#updates / 4000);
    const torque =
      0.938 * obs[0]! + 2.262 * obs[1]! + 19.775 * obs[2]! * skill + 2.375 * obs[3]! * skill;
    const noise = mode === 'sample' ? 0.2 * random(1, this.#draws++).gaussian() : 0;
    out[0] = torque / 3 + noise;
  }

  state(): Uint8Array {
    return Uint8Array.from(Buffer.from(String(this.#updates)));
  }

  restore(state: Uint8Array): void {
    this.#updates = Number(Buffer.from(state).toString());
    this.#draws = 0;
  }

  dispose(): void {
    this.disposed = true;
  }
}

const builder = { warmup: 500, evaluateEvery: 500, maxSteps: 6000 };
const robot = { env: 'WheelLegged', seed: 2n } as const;

const optionsIn = (cacheDir: string, made: Apprentice[] = []): BuildOptions => ({
  cacheDir,
  makeLearner: () => {
    const learner = new Apprentice();
    made.push(learner);
    return learner;
  },
});

test('a random dataset is made of uniform actions, cached, and the same again', async (t) => {
  const [cacheDir, other] = [await folder(t), await folder(t)];
  const recipe: DatasetRecipe = { ...robot, kind: 'random', transitions: 3000 };
  const stages: string[] = [];
  const options: BuildOptions = {
    ...optionsIn(cacheDir),
    onProgress: ({ stage }) => stages.push(stage),
  };
  const first = await buildDataset(recipe, options);
  const again = await buildDataset(recipe, options);
  t.deepEqual(stages, ['collecting', 'cached']);
  const elsewhere = await buildDataset(recipe, optionsIn(other));
  t.deepEqual(again, first);
  t.deepEqual(elsewhere.dataset.columns, first.dataset.columns);
  const { columns, about } = first.dataset;
  t.is(columns.n, 3000);
  const mean = columns.act.reduce((a, b) => a + b, 0) / 3000;
  const square = columns.act.reduce((a, b) => a + b * b, 0) / 3000;
  // Uniform in [-1, 1]: variance 1/3; four standard errors of 3000 draws.
  t.true(Math.abs(mean) < 4 * Math.sqrt(1 / 3 / 3000));
  t.true(Math.abs(square - 1 / 3) < 4 * Math.sqrt(4 / 45 / 3000));
  t.regex(String(about.note), /not D4RL's data/);
  const different = await buildDataset({ ...recipe, seed: 3n }, options);
  t.not(different.path, first.path);
  t.notDeepEqual(different.dataset.columns, first.dataset.columns);
  // Nothing half-written lies about.
  t.true(readdirSync(join(cacheDir, 'datasets')).every((name) => name.startsWith('WheelLegged-')));
});

test('rows follow one another within an episode, and ends are marked', async (t) => {
  const recipe: DatasetRecipe = { ...robot, kind: 'random', transitions: 400 };
  const { dataset } = await buildDataset(recipe, optionsIn(await folder(t)));
  const { obs, next, done, truncated, n } = dataset.columns;
  t.true(done.includes(1));
  const breaks = Array.from({ length: n - 1 }, (_, i) => {
    const here = next.slice(4 * i, 4 * i + 4).join();
    const there = obs.slice(4 * i + 4, 4 * i + 8).join();
    return here === there ? 0 : 1;
  });
  const ends = Array.from({ length: n - 1 }, (_, i) => done[i]! | truncated[i]!);
  t.deepEqual(breaks, ends);
});

test('medium stops when three evaluations are good enough; its replay is all that it saw', async (t) => {
  const options = optionsIn(await folder(t));
  const medium = { score: 50 };
  const replay = await buildDataset({ ...robot, kind: 'medium-replay', medium, builder }, options);
  const policy = replay.dataset.about.policy as {
    step: number;
    curve: { step: number; score: number }[];
  };
  t.is(policy.step, policy.curve.at(-1)!.step);
  t.is(replay.dataset.columns.n, policy.step);
  t.true(policy.step > builder.warmup && policy.step < builder.maxSteps);
  const mean3 = (end: number): number =>
    policy.curve.slice(end - 3, end).reduce((a, { score }) => a + score, 0) / 3;
  const last = policy.curve.length;
  t.true(mean3(last) >= 50);
  if (last > 3) t.true(mean3(last - 1) < 50);

  const sampled = await buildDataset(
    { ...robot, kind: 'medium', transitions: 2500, medium, builder },
    options,
  );
  t.is(sampled.dataset.columns.n, 2500);
  t.deepEqual(sampled.dataset.about.policy, policy);
  const data = sampled.dataset.about.data as { score: number; episodes: number };
  // The sampled medium policy stands for most of an episode; uniform actions fall within 100 steps.
  t.true(data.score > 20, `${data.score}`);
});

test('expert is the best of a long run, and medium-expert half of each', async (t) => {
  const made: Apprentice[] = [];
  const options = optionsIn(await folder(t), made);
  const medium = { score: 20 };
  const recipe: DatasetRecipe = {
    ...robot,
    kind: 'medium-expert',
    transitions: 3001,
    medium,
    builder,
  };
  const { dataset } = await buildDataset(recipe, options);
  t.is(dataset.columns.n, 3001);
  const { columns: expert } = (
    await buildDataset({ ...robot, kind: 'expert', transitions: 1501, builder }, options)
  ).dataset;
  t.deepEqual(sliceColumns(dataset.columns, 1500, 3001), expert);
  const average = (columns: TransitionColumns): number =>
    columns.done.reduce((a, b) => a + b, 0) / columns.n;
  t.true(average(expert) < average(sliceColumns(dataset.columns, 0, 1500)));
  t.true(made.length > 0 && made.every(({ disposed }) => disposed));
  t.true(made.some(({ pushed }) => pushed === builder.maxSteps));
});

test('a policy that does not become good enough is an error, and leaves nothing', async (t) => {
  const cacheDir = await folder(t);
  const recipe: DatasetRecipe = {
    ...robot,
    kind: 'medium',
    transitions: 100,
    medium: { score: 99.99 },
    builder: { ...builder, maxSteps: 2500 },
  };
  const made: Apprentice[] = [];
  const error = await t.throwsAsync(buildDataset(recipe, optionsIn(cacheDir, made)));
  t.is(code(error), 'RUN_INVALID');
  t.regex(error.message, /did not reach a score of 99.99 in 2500 steps/);
  t.deepEqual(readdirSync(cacheDir), []);
  t.true(made.every(({ disposed }) => disposed));

  const aborted = await t.throwsAsync(
    buildDataset({ ...recipe, kind: 'random', medium: undefined, builder: undefined } as never, {
      ...optionsIn(cacheDir),
      signal: AbortSignal.abort(),
    }),
  );
  t.is(code(aborted), 'ABORTED');
});

test('recipes are checked, and options that would do nothing are refused', async (t) => {
  const options = optionsIn(await folder(t));
  const refused = async (recipe: object): Promise<string> => {
    const error = await t.throwsAsync(buildDataset(recipe as DatasetRecipe, options));
    t.is(code(error), 'OPTION_INVALID');
    return error.message;
  };
  t.regex(await refused({ ...robot, kind: 'medum' }), /Did you mean "medium"/);
  t.regex(await refused({ ...robot, kind: 'random', builder }), /builder does nothing/);
  t.regex(await refused({ ...robot, kind: 'expert', medium: { score: 3 } }), /medium does nothing/);
  t.regex(await refused({ ...robot, kind: 'medium-replay', transitions: 9 }), /transitions does/);
  t.regex(await refused({ ...robot, kind: 'random', transitions: 0.5 }), /transitions/);
  t.regex(await refused({ ...robot, kind: 'expert', builder: { batchs: 3 } }), /"batch"/);
  t.regex(await refused({ ...robot, kind: 'expert', builder: { hidden: [] } }), /builder.hidden/);
  t.regex(await refused({ ...robot, env: 'Ant', kind: 'random' }), /no environment "Ant"/);
});

test('scores and episode statistics', async (t) => {
  const cheetah = await describeEnv('HalfCheetah');
  t.is(normalizedScore(cheetah, 12135), 100);
  t.is(normalizedScore(cheetah, -280.178953), 0);
  t.true(Math.abs(normalizedScore(cheetah, 4770) - 40.68) < 0.01);
  using env = await makeEnv('WheelLegged', { maxEpisodeSteps: 20 });
  const policy = (_: Float32Array, out: Float32Array): unknown => out.fill(0);
  const first = await evaluatePolicy(env, policy, { episodes: 3, seed: 4n });
  const second = await evaluatePolicy(env, policy, { episodes: 3, seed: 4n });
  t.deepEqual(second, first);
  t.deepEqual([first.truncated, first.terminated, first.lengths], [3, 0, [20, 20, 20]]);
  const [a = 0, b = 0, c = 0] = first.returns;
  t.true(Math.abs(first.meanReturn - (a + b + c) / 3) < 1e-9);
  t.is(code(await t.throwsAsync(evaluatePolicy(env, policy, { episodes: 0 }))), 'OPTION_INVALID');
});
