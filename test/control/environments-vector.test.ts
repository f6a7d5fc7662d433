import test from 'ava';
import { VectorEnv } from '../../src/control/environments/vector.js';
import { code } from './helpers.js';

/** 40 steps of small torques; everything that came out, in order. */
const trace = async (vector: VectorEnv, steps = 40): Promise<number[]> => {
  const { actions, observations, nextObservations, rewards, terminated, truncated } = vector.arrays;
  const seen: number[] = [];
  await vector.reset();
  for (let step = 0; step < steps; step += 1) {
    for (let i = 0; i < actions.length; i += 1) actions[i] = 0.8 * Math.sin(0.7 * step + i);
    await vector.step();
    seen.push(...observations, ...nextObservations, ...rewards, ...terminated, ...truncated);
  }
  return seen;
};

test('results are the same for any number of workers, ends of episodes included', async (t) => {
  const options = { instances: 5, seed: 3n, maxEpisodeSteps: 15, gap: { jointNoise: 0.3 } };
  const gaps = [{}, { gravity: 2 }];
  const traces: number[][] = [];
  for (const workers of [0, 3]) {
    await using vector = await VectorEnv.make('Hopper', { ...options, gaps, workers });
    traces.push(await trace(vector));
  }
  for (const other of traces.slice(1)) t.deepEqual(other, traces[0]);
});

test('an ended episode shows its last observation, and the next one has begun', async (t) => {
  await using vector = await VectorEnv.make('Pendulum', { instances: 2, maxEpisodeSteps: 3 });
  const { observations, nextObservations, truncated, terminated } = vector.arrays;
  await vector.reset();
  const starts = [...observations];
  t.notDeepEqual(starts.slice(0, 3), starts.slice(3)); // instances have seeds of their own
  for (let step = 1; step <= 3; step += 1) {
    await vector.step();
    t.deepEqual([...truncated], step === 3 ? [1, 1] : [0, 0]);
    t.deepEqual([...terminated], [0, 0]);
    if (step < 3) t.deepEqual([...observations], [...nextObservations]);
    else t.notDeepEqual([...observations], [...nextObservations]);
  }
  await vector.reset();
  t.deepEqual([...observations], starts);
});

test('workers pass on states and errors, and go on after an error', async (t) => {
  const options = { instances: 3, workers: 2, seed: 1n };
  await using vector = await VectorEnv.make('WheelLegged', options);
  const { actions, rewards, observations } = vector.arrays;
  await vector.reset();
  await vector.step();
  // From the first worker's instance to one of the second's.
  await vector.setState(2, await vector.getState(0));
  await vector.step();
  t.is(rewards[0], rewards[2]);
  t.deepEqual([...observations.slice(0, 4)], [...observations.slice(8)]);
  t.not(rewards[0], rewards[1]);

  actions[2] = NaN;
  const error = await t.throwsAsync(vector.step());
  t.is(code(error), 'NON_FINITE');
  t.regex(error.message, /Instance 2: Action 0 of WheelLegged is NaN/);
  actions[2] = 0;
  await vector.step();
  t.is(code(await t.throwsAsync(vector.setGap(1, { gravity: -2 }))), 'OPTION_INVALID');
  t.is(code(await t.throwsAsync(() => vector.setGap(3, {}))), 'OPTION_INVALID');
});

test('what cannot be made is refused, wherever it is made', async (t) => {
  const refused = async (options: object): Promise<string> => {
    const made = VectorEnv.make('Hopper', { instances: 1, ...options });
    return code(await t.throwsAsync(made));
  };
  t.is(await refused({ workers: 1, gap: { mass: 2 } }), 'OPTION_INVALID');
  t.is(await refused({ gaps: [{}, {}] }), 'OPTION_INVALID');
  t.is(await refused({ instances: 0 }), 'OPTION_INVALID');
  t.is(await refused({ workers: -1 }), 'OPTION_INVALID');
});

test('calls do not overlap, and closing ends what is under way', async (t) => {
  const vector = await VectorEnv.make('Pendulum', { instances: 4, workers: 2 });
  await vector.reset();
  const first = vector.step();
  t.regex((await t.throwsAsync(vector.step())).message, /under way/);
  await first;
  const last = vector.step();
  const ended = t.throwsAsync(last);
  await vector.close();
  t.is(code(await ended), 'DISPOSED');
  await vector.close();
  t.is(code(await t.throwsAsync(vector.step())), 'DISPOSED');
});
