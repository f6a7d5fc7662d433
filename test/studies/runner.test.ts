// Several threads at one study: the same results, one failure for all, and a process that is killed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { performanceGap } from '../../src/studies/performance-gap/index.js';
import type { StageEvent } from '../../src/studies/study.js';
import { parallel, smallest } from './recipe.js';

const temporary = await mkdtemp(join(tmpdir(), 'alignlab-runner-'));
test.after.always(() => rm(temporary, { recursive: true, force: true }));

const recipe = parallel;
const alone = join(temporary, 'alone');
const first = performanceGap({ recipe, folder: alone });
const resultOf = (folder: string): Promise<string> => readFile(join(folder, 'result.json'), 'utf8');

// One after the other: each has two threads of its own.
test.serial('two threads give what one gives, each stage once', async (t) => {
  const { computed } = await first;
  const folder = join(temporary, 'together');
  const events: StageEvent[] = [];
  const onEvent = (event: StageEvent) => events.push(event);
  const outcome = await performanceGap({ recipe, folder, jobs: 2, onEvent });
  t.is(await resultOf(folder), await resultOf(alone));
  t.is(outcome.computed, computed);
  const started = events.filter(({ kind }) => kind === 'started').map(({ key }) => key);
  t.is(started.length, computed);
  t.is(new Set(started).size, computed);
});

test.serial(
  'a study whose process is killed goes on, and ends as if it had not been',
  async (t) => {
    await first;
    const folder = join(temporary, 'killed');
    const script = [
      '--import=./scripts/register-ts.mjs',
      'test/studies/programs/interrupted.ts',
      folder,
    ];
    const child = spawn(process.execPath, script, { stdio: ['ignore', 'ignore', 'inherit'] });
    const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
    t.is(signal, 'SIGKILL');
    const before = (await readdir(join(folder, 'stages'))).filter((name) => !name.startsWith('.'));
    t.true(before.length > 5, 'the shared stages were kept');
    const { computed } = await performanceGap({ recipe, folder, resume: true });
    const all = await readdir(join(folder, 'stages'));
    t.is(computed, all.length - before.length, 'what was kept is not run again');
    t.is(await resultOf(folder), await resultOf(alone));
  },
);

test.serial('the error of one thread is the error of the study, and all of them end', async (t) => {
  const folder = join(temporary, 'failing');
  const options = { recipe: { ...recipe, policySizes: [10] }, folder, jobs: 2 };
  const error = await t.throwsAsync(performanceGap({ ...options, only: ['policy-size'] }), {
    code: 'OPTION_INVALID',
    message: /about 10 parameters/,
  });
  t.regex(error.stack!, /model-config/, 'the stack of the thread');
  const left = await readdir(join(folder, 'stages'));
  t.deepEqual(
    left.filter((name) => name.startsWith('.')),
    [],
  );
  // The folder is free again.
  await t.notThrowsAsync(performanceGap({ recipe, folder, only: ['fig-1'], resume: true }));
});

test.serial('stopped on two threads, both end', async (t) => {
  const folder = join(temporary, 'stopped');
  const controller = new AbortController();
  const onEvent = ({ stage, kind }: StageEvent): void => {
    if (stage.startsWith('golden policy') && kind === 'progress') controller.abort();
  };
  const { signal } = controller;
  const stopped = performanceGap({ recipe, folder, jobs: 2, signal, onEvent });
  await t.throwsAsync(stopped, { code: 'ABORTED', message: /--resume/ });
});

test('only some experiments: their stages, findings and assertions', async (t) => {
  const folder = join(temporary, 'only');
  const options = { recipe: { ...recipe, asserts: ['S1.3', 'S1.8a'] }, folder };
  const { signatures, findings, lab, failed } = await performanceGap({
    ...options,
    only: ['fig-4'],
  });
  t.deepEqual([...findings.keys()], ['fig-4']);
  const tested = signatures.filter(({ verdict }) => verdict !== 'not tested');
  t.deepEqual(
    tested.map(({ id }) => id),
    ['S1.3', 'S1.4'],
  );
  t.deepEqual(failed, [], 'nothing is asserted of experiments that were left out');
  t.false(lab.arms().some(({ name }) => name.startsWith('accuracy')));
  const more = await performanceGap({ ...options, only: ['classification'], resume: true });
  t.is(more.computed, recipe.seeds.length, 'the accuracies along the streams and no arm again');
  t.deepEqual(more.failed, ['S1.8a']);
});

test('ids of experiments are checked', async (t) => {
  const folder = join(temporary, 'unknown');
  const run = (only: readonly string[], resume = true) =>
    performanceGap({ recipe, folder, only, resume });
  await t.throwsAsync(run(['fig-99']), {
    code: 'OPTION_INVALID',
    message: /"fig-99".*fig-1, fig-4/,
  });
  await t.throwsAsync(run([]), { code: 'OPTION_INVALID' });
  await t.throwsAsync(run(['fig-12']), {
    code: 'OPTION_INVALID',
    message: /smallest has no fig-12/,
  });
  const jobs = { recipe: smallest, folder, resume: true, jobs: 0 };
  await t.throwsAsync(performanceGap(jobs), { code: 'OPTION_INVALID' });
});
