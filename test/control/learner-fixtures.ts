// Transitions of a world whose next state is the state plus one number, for tests of learners.
import { random } from '../../src/data/random.js';
import {
  createLearner,
  type Learner,
  type LearnerOptions,
  type Transitions,
} from '../../src/control/learner.js';

export const obsDim = 3;
export const actDim = 2;

/** `shift` moves the first column of next states: the gap between two such worlds. */
export const transitions = (n: number, seed: number, shift = 0): Transitions => {
  const stream = random(seed, 'transitions');
  const normals = (count: number): Float32Array =>
    Float32Array.from({ length: count }, () => stream.gaussian());
  const obs = normals(n * obsDim);
  const act = Float32Array.from({ length: n * actDim }, () => 2 * stream.uniform() - 1);
  const step = normals(n * obsDim);
  const next = obs.map((x, i) => x + step[i]! + (i % obsDim === 0 ? shift : 0));
  return {
    n,
    obs,
    act,
    rew: normals(n),
    next,
    done: Uint8Array.from({ length: n }, (_, i) => Number(i % 5 === 0)),
  };
};

export const small = {
  obsDim,
  actDim,
  hidden: [16, 16],
  batch: 32,
  learningRate: 1e-3,
} as const satisfies Partial<LearnerOptions>;

export const real = transitions(200, 1);
export const sim = transitions(300, 2, 1);

/** A learner with the data that its algorithm needs. */
export const made = (
  options: Partial<LearnerOptions> & Pick<LearnerOptions, 'algorithm'>,
): Learner => {
  const learner = createLearner(
    { ...small, ...options },
    options.algorithm === 'sac' ? undefined : real,
  );
  if (options.algorithm === 'cql') return learner;
  for (let member = 0; member < learner.members; ++member) learner.push(sim, member);
  return learner;
};

export const parametersAfter = async (
  options: Partial<LearnerOptions> & Pick<LearnerOptions, 'algorithm'>,
  updates = 3,
): Promise<Float32Array> => {
  const learner = made(options);
  await learner.update(updates);
  const parameters = learner.parameters();
  learner.dispose();
  return parameters;
};

export const differ = (a: Float32Array, b: Float32Array): boolean =>
  a.length !== b.length || a.some((x, i) => x !== b[i]);
