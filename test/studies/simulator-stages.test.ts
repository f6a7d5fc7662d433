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

const runIn = async (folder: string, given: Arm, stopAt?: number) => {
  const controller = new AbortController();
  await using study = await Study.open(folder, {
    resume: true,
    signal: controller.signal,
    onEvent: ({ kind, done = 0 }) => {
      if (kind === 'progress' && done === stopAt) controller.abort();
    },
  });
  const host = { stages: study, folder, seeds: [1], bins: 4, device: 'cpu' } as const;
  return await trainArm(host, given, null);
};

// Its end is saved, too, which is no multiple of 20000.
const slower = { from: 8000, learningRate: 1e-4 };
const inParts: Arm = { ...arm, plan: { ...arm.plan, slower } };

for (const [what, given, stopAt] of [
  ['a training', arm, 24_000],
  ['a training in two parts, in the second', inParts, 24_000],
  ['a training in two parts, after the first', inParts, 12_000],
] as const) {
  test(`${what}: killed, it goes on and ends as the uninterrupted one`, async (t) => {
    const folder = await temporaryFolder(t);
    const [whole, broken] = [join(folder, 'whole'), join(folder, 'broken')];
    const expected = await runIn(whole, given);
    t.is(code(await t.throwsAsync(runIn(broken, given, stopAt))), 'ABORTED');
    const [state] = await readdir(join(broken, 'unfinished'));
    t.truthy(state);
    const found = await runIn(broken, given);
    t.deepEqual(found.result, expected.result);
    const policies = [expected, found].map((run) => readFile(join(run.folder, 'policy.state')));
    const [one, two] = await Promise.all(policies);
    t.deepEqual(one, two);
    t.deepEqual(await readdir(join(broken, 'unfinished')), []);
  });
}

test('a slower rate acts from its step on', async (t) => {
  const folder = await temporaryFolder(t);
  const plain = await runIn(join(folder, 'plain'), arm);
  const slow = await runIn(join(folder, 'slow'), inParts);
  t.deepEqual(slow.result.curve.slice(0, 2), plain.result.curve.slice(0, 2));
  t.is(slow.result.curve.length, plain.result.curve.length);
  for (let i = 2; i < 6; i += 1) t.notDeepEqual(slow.result.curve[i], plain.result.curve[i]);
});
