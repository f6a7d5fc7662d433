// R1 at the preset ci: with joint noise in the simulator H2O learns what SAC in the simulator does
// not, on two of three seeds or more. Data, both trainings and their evaluations are the study's own;
// about 100 s of processor time, on two cores 65 s.
import { join } from 'node:path';
import test from 'ava';
import type { Plan } from '../../src/studies/simulator/recipe.js';
import { recipes, simulator } from '../../src/studies/simulator/index.js';
import { temporaryFolder } from '../checkpoint/helpers.js';

const { quick } = recipes;
// The last three evaluations are those from 10,000 updates on: before, H2O has learned little too.
const plan: Plan = { steps: 15_000, chunk: 1000, evaluateEvery: 2500, episodes: 3 };

const recipe = {
  ...quick,
  scale: 'test',
  seeds: [1, 2, 3],
  locomotion: {
    ...quick.locomotion!,
    cells: { 'joint noise': { algorithms: ['h2o', 'sac'] as const, plan } },
  },
  weights: null,
  pendulum: null,
  asserts: ['R1a'],
};

test('under joint noise H2O returns more in the real system than SAC in the simulator', async (t) => {
  t.timeout(600_000, 'learning takes a minute on a free core');
  const folder = join(await temporaryFolder(t), 'study');
  const { failed, signatures } = await simulator({ recipe, folder, jobs: 2 });
  const [found] = signatures.filter(({ id }) => id === 'R1a');
  t.log(found!.note);
  t.deepEqual(failed, []);
});
