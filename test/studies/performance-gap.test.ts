// The performance-gap study at its smallest: every stage, the same numbers twice, gone on with.
import { access, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { performanceGap, recipeOf, stageCount } from '../../src/studies/performance-gap/index.js';
import { weightsPath } from '../../src/studies/performance-gap/materials.js';
import type { StageEvent } from '../../src/studies/study.js';
import { smallest } from './recipe.js';

const temporary = await mkdtemp(join(tmpdir(), 'alignlab-gap-'));
test.after.always(() => rm(temporary, { recursive: true, force: true }));

const recipe = smallest;
const whole = join(temporary, 'whole');
const events: StageEvent[] = [];
const first = performanceGap({ recipe, folder: whole, onEvent: (event) => events.push(event) });

const resultOf = (folder: string): Promise<string> => readFile(join(folder, 'result.json'), 'utf8');

test('every stage runs, and the report is there', async (t) => {
  const { signatures, report, computed, failed } = await first;
  t.deepEqual(failed, []);
  t.is(computed, stageCount(recipe));
  const ended = events.filter(({ kind }) => kind === 'finished');
  t.is(ended.length, stageCount(recipe));
  t.is(new Set(signatures.map(({ id }) => id)).size, signatures.length);
  t.true(signatures.every(({ id }) => /^S1\.\d+[a-c]?$/.test(id)));
  await access(report);
  const html = await readFile(report, 'utf8');
  for (const { id } of signatures) t.true(html.includes(id), id);
  t.false(/(src|href)="https?:/.test(html));
});

test('S1.3: the stream in its order gives the online policy bit for bit', async (t) => {
  const { runs, signatures } = await first;
  const [{ online, tandem, shuffled }] = runs.seeds as [(typeof runs.seeds)[number]];
  const bytes = (run: typeof online) => readFile(weightsPath(run));
  t.deepEqual(await bytes(online), await bytes(tandem));
  t.notDeepEqual(await bytes(online), await bytes(shuffled[0]!));
  t.deepEqual(tandem.result.losses, online.result.losses);
  t.is(signatures.find(({ id }) => id === 'S1.3')?.verdict, 'holds');
});

test('arms differ in the source and in nothing else', async (t) => {
  const { runs } = await first;
  const [{ online, tandem, offline, shuffled }] = runs.seeds as [(typeof runs.seeds)[number]];
  const { source, ...rest } = online.result.manifest;
  for (const other of [tandem, offline[0]!, shuffled[0]!]) {
    const { source: otherSource, ...otherRest } = other.result.manifest;
    t.deepEqual(otherRest, rest, other.name);
    t.notDeepEqual(otherSource, source, other.name);
  }
});

test('the start of every arm is where it should be', async (t) => {
  const { runs } = await first;
  t.is(runs.start.kl, 0);
  t.is(runs.start.accuracy, 0.5);
  t.is(runs.start.chosenDrift, 0);
  const [{ online }] = runs.seeds as [(typeof runs.seeds)[number]];
  t.deepEqual(
    online.result.points.map(({ step }) => step),
    recipe.evaluation.steps,
  );
  t.true(online.result.points.every(({ kl }) => kl > 0));
  t.true(online.result.points.every(({ outcomes }) => /^[WLT-]{8}$/.test(outcomes)));
});

test('gone on with, nothing is computed; from what is left, the same', async (t) => {
  await first;
  const before = await resultOf(whole);
  await t.throwsAsync(performanceGap({ recipe, folder: whole }), { code: 'RUN_INVALID' });
  const again = await performanceGap({ recipe, folder: whole, resume: true });
  t.is(again.computed, 0);
  t.is(await resultOf(whole), before);
  const stages = await readdir(join(whole, 'stages'));
  const lost = stages.filter((name) => /^(proxy|shuffled)/.test(name));
  t.is(lost.length, 4);
  for (const name of lost) await rm(join(whole, 'stages', name), { recursive: true });
  const repaired = await performanceGap({ recipe, folder: whole, resume: true });
  t.is(repaired.computed, 4);
  t.is(await resultOf(whole), before);
});

test('stopped in the middle and gone on with, on two threads, it is the study of one go', async (t) => {
  await first;
  const folder = join(temporary, 'stopped');
  const controller = new AbortController();
  const onEvent = ({ stage, kind, done = 0 }: StageEvent): void => {
    if (stage.startsWith('online') && kind === 'progress' && done >= 3) controller.abort();
  };
  const { signal } = controller;
  await t.throwsAsync(performanceGap({ recipe, folder, signal, onEvent }), { code: 'ABORTED' });
  const { computed } = await performanceGap({ recipe, folder, resume: true, threads: 2 });
  t.true(computed > 0 && computed < stageCount(recipe));
  t.is(await resultOf(folder), await resultOf(whole));
});

test('recipes are checked', (t) => {
  t.throws(() => recipeOf('galaxy'), { code: 'OPTION_INVALID', message: /ci, quick/ });
  t.throws(() => recipeOf('ci', { world: 'chess' }), { code: 'OPTION_INVALID', message: /chat/ });
  t.throws(() => recipeOf('ci', { seeds: 0 }), { code: 'OPTION_INVALID' });
  const changed = recipeOf('ci', { seeds: 2, world: 'help' });
  t.deepEqual(changed.seeds, [1, 2]);
  t.deepEqual(changed.asserts, ['S1.3']);
});
