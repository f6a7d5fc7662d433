// A learner with units of its own is the learner that is given the scaled numbers.
import test from 'ava';
import { createLearner, type Transitions } from '../../src/control/learner.js';
import { actDim, real, sim, small } from './learner-fixtures.js';

// Powers of two and a quarter: f32 has all products, and there is no rounding to allow for.
const scale = [2, 0.5, 4];
const reward = { shift: 0.25, scale: 2 };
const scaled = (values: Float32Array): Float32Array => values.map((x, i) => x * scale[i % 3]!);
const byHand = (given: Transitions): Transitions => ({
  ...given,
  obs: scaled(given.obs),
  next: scaled(given.next),
  rew: given.rew.map((r) => 2 * (r - 0.25)),
});

test('data, simulated transitions, actions and inspections are read in its units', async (t) => {
  const options = { ...small, algorithm: 'h2o', seeds: [3] } as const;
  using plain = createLearner(options, byHand(real));
  using own = createLearner({ ...options, observationScale: scale, reward }, real);
  plain.push(byHand(sim));
  own.push(sim);
  await plain.update(5);
  await own.update(5);
  t.deepEqual(own.parameters(), plain.parameters());
  t.deepEqual(own.inspect(sim), plain.inspect(byHand(sim)));
  const [a, b] = [new Float32Array(2 * actDim), new Float32Array(2 * actDim)];
  own.act(sim.obs.slice(0, 6), 2, 'mean', a);
  plain.act(scaled(sim.obs.slice(0, 6)), 2, 'mean', b);
  t.deepEqual(a, b);
});

test('transitions come back in the units they were given in', (t) => {
  using learner = createLearner(
    { ...small, algorithm: 'h2o', observationScale: scale, reward },
    real,
  );
  learner.push(sim);
  for (const [source, given] of [
    ['real', real],
    [0, sim],
  ] as const) {
    const { obs, next, rew, act } = learner.transitions(source);
    t.deepEqual([obs, next, act], [given.obs, given.next, given.act]);
    // A shift rounds a reward of up to 4 in its last place, 2^-22, on both ways.
    t.true(rew.every((r, i) => Math.abs(r - given.rew[i]!) < 1e-6));
  }
});
