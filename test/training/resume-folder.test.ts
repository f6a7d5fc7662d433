// A run folder under kill -9: whatever a process was doing, the resumed run leaves the bytes that
// the uninterrupted one leaves. (Class 30 of the known bugs: resume that is not exact.)
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { owned } from '../helpers/models.js';
import { type FolderRun, folderRun } from './folder-loop.js';
import { contentsOf, runTraining } from './folders.js';

const program = 'folder-run.ts';
const settings = { steps: 8, saveSteps: 3, dtype: 'bf16' } as const;
const points = [
  { step: 2, during: 'step' }, // no checkpoint yet
  { step: 3, during: 'save' },
  { step: 5, during: 'line' },
  { step: 6, during: 'save' },
  { step: 7, during: 'step' },
] as const;

const checkpoints = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.includes('checkpoint-')).sort();

class Death extends Error {}

/** In this process: dies by an exception. */
const run = async (folder: string, plan: FolderRun): Promise<'finished' | 'died'> => {
  try {
    await folderRun(folder, plan, () => {
      throw new Death();
    });
    return 'finished';
  } catch (error) {
    if (error instanceof Death) return 'died';
    throw error;
  }
};

test.serial('killed at five points, a run ends as the uninterrupted one', async (t) => {
  const folder = await temporaryFolder(t);
  const [whole, torn] = [join(folder, 'whole'), join(folder, 'torn')];
  t.is(await run(whole, settings), 'finished');
  for (const [i, kill] of points.entries()) {
    const outcome = await runTraining(t, program, torn, { ...settings, kill, resume: i > 0 });
    t.is(outcome, 'killed', `step ${kill.step}`);
    const names = await readdir(torn);
    t.is(
      names.some((name) => name.includes('.saving-')),
      kill.during === 'save',
      'a half-written checkpoint stands beside',
    );
    t.true(names.includes('.lock'), 'the dead process left its lock');
  }
  t.is(await run(torn, { ...settings, resume: true }), 'finished');
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

test.serial('killed at any time, a run ends as the uninterrupted one', async (t) => {
  const folder = await temporaryFolder(t);
  const [whole, torn] = [join(folder, 'whole'), join(folder, 'torn')];
  // A checkpoint each step: most of the time goes into writing them.
  const often = { ...settings, saveSteps: 1 };
  t.is(await run(whole, often), 'finished');
  let killed = 0;
  // Longer each time, so that it ends on a machine of any speed.
  for (let killAfter = 100; killed < 16; killAfter *= 2, killed += 1) {
    const plan = { ...often, resume: 'auto', killAfter };
    if ((await runTraining(t, program, torn, plan)) === 'finished') break;
  }
  t.true(killed > 0);
  t.deepEqual(await contentsOf(torn), await contentsOf(whole));
});

test.serial('a bf16 model gets its master weights back bit for bit', async (t) => {
  const folder = await temporaryFolder(t);
  t.is(await run(join(folder, 'run'), { ...settings, steps: 3 }), 'finished');
  const saved = join(folder, 'run', 'checkpoint-3');
  const model = owned(t, await LanguageModel.load(saved, { dtype: 'bf16' }));
  await model.save(join(folder, 'again'));
  t.deepEqual(
    await readFile(join(folder, 'again', 'model.safetensors')),
    await readFile(join(saved, 'model.safetensors')),
  );
});

test.serial('a damaged checkpoint is passed over, and written anew', async (t) => {
  const folder = await temporaryFolder(t);
  const [whole, torn] = [join(folder, 'whole'), join(folder, 'torn')];
  t.is(await run(whole, settings), 'finished');
  t.is(await run(torn, { ...settings, kill: { step: 7, during: 'step' } }), 'died');
  await writeFile(join(torn, 'checkpoint-6', 'model.safetensors'), 'cut off');
  t.is(await run(torn, { ...settings, resume: true }), 'finished');
  t.deepEqual(await contentsOf(torn), await contentsOf(whole));
});

test.serial('from a named checkpoint, a run goes over what came after it again', async (t) => {
  const folder = await temporaryFolder(t);
  t.is(await run(folder, { ...settings, dtype: 'f32' }), 'finished');
  const before = await contentsOf(folder);
  const plan = { ...settings, dtype: 'f32' } as const;
  const kill = { step: 4, during: 'step' } as const;
  t.is(await run(folder, { ...plan, resume: 'checkpoint-3', kill }), 'died');
  t.deepEqual(await checkpoints(folder), ['checkpoint-3']);
  t.is(await run(folder, { ...plan, resume: true }), 'finished');
  t.deepEqual(await contentsOf(folder), before);
});

test.serial('a save that fails leaves nothing; only the newest checkpoints are kept', async (t) => {
  const folder = await temporaryFolder(t);
  const kill = { step: 6, during: 'save' } as const;
  t.is(await run(folder, { ...settings, saveTotalLimit: 1, kill }), 'died');
  t.deepEqual(await checkpoints(folder), ['checkpoint-3']);
  t.is(await run(folder, { ...settings, saveTotalLimit: 2, resume: true }), 'finished');
  t.deepEqual(await checkpoints(folder), ['checkpoint-6', 'checkpoint-8']);
});
