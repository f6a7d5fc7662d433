// A study of simulators that is killed in the midst of a training goes on from its last saved state.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { Study } from '../../src/studies/study.js';
import type { Arm } from '../../src/studies/simulator/arms.js';
import { trainArm } from '../../src/studies/simulator/training.js';
import { code } from '../control/helpers.js';
import { temporaryFolder } from '../checkpoint/helpers.js';

// One save is due on the way, at 20000 steps.
const arm: Arm = {
  name: 'SAC on a pendulum',
  algorithm: 'sac',
  env: 'Pendulum',
  real: {},
  sim: { gravity: 1.5 },
  data: null,
  sizes: { hidden: [4], batch: 2, learningRate: 1e-3 },
  plan: { steps: 24_000, chunk: 1000, evaluateEvery: 4000, episodes: 1 },
};

const runIn = async (folder: string, stopAt?: number) => {
  const controller = new AbortController();
  await using study = await Study.open(folder, {
    resume: true,
    signal: controller.signal,
    onEvent: ({ kind, done = 0 }) => {
      if (kind === 'progress' && done === stopAt) controller.abort();
    },
  });
  const host = { stages: study, folder, seeds: [1], bins: 4, device: 'cpu' } as const;
  return await trainArm(host, arm, null);
};

test('a training that was killed goes on, and ends as the uninterrupted one', async (t) => {
  const folder = await temporaryFolder(t);
  const [whole, broken] = [join(folder, 'whole'), join(folder, 'broken')];
  const expected = await runIn(whole);
  t.is(code(await t.throwsAsync(runIn(broken, 24_000))), 'ABORTED');
  const [state] = await readdir(join(broken, 'unfinished'));
  t.truthy(state);
  const found = await runIn(broken);
  t.deepEqual(found.result, expected.result);
  const policies = [expected, found].map((run) => readFile(join(run.folder, 'policy.state')));
  const [one, two] = await Promise.all(policies);
  t.deepEqual(one, two);
  t.deepEqual(await readdir(join(broken, 'unfinished')), []);
});
