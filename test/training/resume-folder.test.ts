// A run folder under kill -9: whatever a process was doing, the resumed run leaves the bytes that
// the uninterrupted one leaves. (Class 30 of the known bugs: resume that is not exact.)
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { owned } from '../helpers/models.js';
import { contentsOf, runTraining } from './folders.js';
import type { FolderRun } from './programs/folder-run.js';

const run = (t: ExecutionContext, folder: string, settings: FolderRun) =>
  runTraining(t, 'folder-run.ts', folder, settings);

const settings = { steps: 8, saveSteps: 3 } as const;
const points = [
  { step: 2, during: 'step' }, // no checkpoint yet
  { step: 3, during: 'save' },
  { step: 5, during: 'line' },
  { step: 6, during: 'save' },
  { step: 7, during: 'step' },
] as const;

for (const dtype of ['bf16', 'f32'] as const) {
  test(`${dtype}: killed at five points, a run ends as the uninterrupted one`, async (t) => {
    const folder = await temporaryFolder(t);
    const [whole, torn] = [join(folder, 'whole'), join(folder, 'torn')];
    t.is(await run(t, whole, { ...settings, dtype }), 'finished');
    for (const [i, kill] of points.entries()) {
      const outcome = await run(t, torn, { ...settings, dtype, kill, resume: i > 0 });
      t.is(outcome, 'killed', `step ${kill.step}`);
      const names = await readdir(torn);
      t.is(
        names.some((name) => name.includes('.saving-')),
        kill.during === 'save',
        'a half-written checkpoint stands beside',
      );
      t.true(names.includes('.lock'), 'the dead process left its lock');
    }
    t.is(await run(t, torn, { ...settings, dtype, resume: true }), 'finished');
    t.deepEqual(await contentsOf(torn), await contentsOf(whole));
    const manifest = async (path: string) =>
      JSON.parse(await readFile(join(path, 'manifest.json'), 'utf8')) as {
        run: unknown;
        status: string;
        sessions: { fromStep: number }[];
      };
    const [a, b] = [await manifest(torn), await manifest(whole)];
    t.deepEqual([a.run, a.status], [b.run, 'completed']);
    t.deepEqual(
      a.sessions.map(({ fromStep }) => fromStep),
      [0, 0, 0, 3, 3, 6],
    );
  });
}

test('killed again and again at any time, a run ends as the uninterrupted one', async (t) => {
  const folder = await temporaryFolder(t);
  const [whole, torn] = [join(folder, 'whole'), join(folder, 'torn')];
  // A checkpoint each step: most of the time goes into writing them.
  const often = { steps: 12, saveSteps: 1, dtype: 'bf16' } as const;
  t.is(await run(t, whole, often), 'finished');
  let killed = 0;
  for (let killAfter = 20; ; killAfter += 20) {
    const outcome = await run(t, torn, { ...often, resume: 'auto', killAfter });
    if (outcome === 'finished') break;
    killed += 1;
    t.true(killed < 40, 'it never ends');
  }
  t.true(killed > 0);
  t.deepEqual(await contentsOf(torn), await contentsOf(whole));
});

test('a bf16 model gets its master weights back bit for bit', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'run');
  t.is(await run(t, path, { steps: 3, saveSteps: 3, dtype: 'bf16' }), 'finished');
  const saved = join(path, 'checkpoint-3');
  const model = owned(t, await LanguageModel.load(saved, { dtype: 'bf16' }));
  await model.save(join(folder, 'again'));
  t.deepEqual(
    await readFile(join(folder, 'again', 'model.safetensors')),
    await readFile(join(saved, 'model.safetensors')),
  );
});

test('a damaged checkpoint is passed over, and written anew', async (t) => {
  const folder = await temporaryFolder(t);
  const [whole, torn] = [join(folder, 'whole'), join(folder, 'torn')];
  const plan = { ...settings, dtype: 'f32' } as const;
  t.is(await run(t, whole, plan), 'finished');
  t.is(await run(t, torn, { ...plan, kill: { step: 7, during: 'step' } }), 'killed');
  await writeFile(join(torn, 'checkpoint-6', 'model.safetensors'), 'cut off');
  t.is(await run(t, torn, { ...plan, resume: true }), 'finished');
  t.deepEqual(await contentsOf(torn), await contentsOf(whole));
});

test('from a named checkpoint, a run goes over what came after it again', async (t) => {
  const folder = await temporaryFolder(t);
  const plan = { ...settings, dtype: 'f32' } as const;
  t.is(await run(t, folder, plan), 'finished');
  const before = await contentsOf(folder);
  const kill = { step: 4, during: 'step' } as const;
  t.is(await run(t, folder, { ...plan, resume: 'checkpoint-3', kill }), 'killed');
  t.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('checkpoint-')),
    ['checkpoint-3'],
  );
  t.is(await run(t, folder, { ...plan, resume: true }), 'finished');
  t.deepEqual(await contentsOf(folder), before);
});

test('only the newest checkpoints are kept', async (t) => {
  const folder = await temporaryFolder(t);
  const plan = { ...settings, dtype: 'f32', saveTotalLimit: 2 } as const;
  t.is(await run(t, folder, plan), 'finished');
  t.deepEqual((await readdir(folder)).filter((name) => name.includes('checkpoint-')).sort(), [
    'checkpoint-6',
    'checkpoint-8',
  ]);
});
