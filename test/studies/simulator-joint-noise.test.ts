// R1 at the preset ci: with joint noise in the simulator H2O learns what SAC in the simulator does
// not. Data, both trainings and their evaluations are the study's own; about 45 s of one core.
import { join } from 'node:path';
import test from 'ava';
import { recipes, simulator } from '../../src/studies/simulator/index.js';
import { temporaryFolder } from '../checkpoint/helpers.js';

const { quick } = recipes;
const { plan } = quick.locomotion!.cells['joint noise']!;

const recipe = {
  ...quick,
  scale: 'test',
  seeds: [1],
  locomotion: {
    ...quick.locomotion!,
    cells: {
      'joint noise': { algorithms: ['h2o', 'sac'] as const, plan: { ...plan, steps: 20_000 } },
    },
  },
  weights: null,
  pendulum: null,
  asserts: ['R1a'],
};

test('under joint noise H2O returns more in the real system than SAC in the simulator', async (t) => {
  t.timeout(600_000, 'learning takes a minute on a free core');
  const folder = join(await temporaryFolder(t), 'study');
  const { failed, signatures } = await simulator({ recipe, folder });
  const [found] = signatures.filter(({ id }) => id === 'R1a');
  t.log(found!.note);
  t.deepEqual(failed, []);
});
