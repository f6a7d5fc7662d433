// The performance-gap study at its smallest: every stage, the same numbers twice, gone on with.
import { access, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ArmRun } from '../../src/studies/performance-gap/arms.js';
import { performanceGap, recipeOf } from '../../src/studies/performance-gap/index.js';
import { weightsPath } from '../../src/studies/performance-gap/materials.js';
import type { StageEvent } from '../../src/studies/study.js';
import { smallest } from './recipe.js';

const temporary = await mkdtemp(join(tmpdir(), 'alignlab-gap-'));
test.after.always(() => rm(temporary, { recursive: true, force: true }));

const recipe = smallest;
const whole = join(temporary, 'whole');
const events: StageEvent[] = [];
let planned = 0;
const first = performanceGap({
  recipe,
  folder: whole,
  onEvent: (event) => events.push(event),
  onPlan: (stages) => (planned = stages),
});

const resultOf = (folder: string): Promise<string> => readFile(join(folder, 'result.json'), 'utf8');

/** The first arm whose name begins so: that of the baseline. */
const arm = async (name: string): Promise<ArmRun> => {
  const { lab } = await first;
  return lab.arms().find((run) => run.name.startsWith(name))!;
};

test('every stage runs, as planned, and the report is there', async (t) => {
  const { signatures, report, computed, failed } = await first;
  t.deepEqual(failed, []);
  t.is(computed, planned);
  const ended = events.filter(({ kind }) => kind === 'finished');
  t.is(ended.length, planned);
  t.is(new Set(signatures.map(({ id }) => id)).size, signatures.length);
  t.true(signatures.every(({ id }) => /^S1\.\d+[a-c]?$/.test(id)));
  const families = new Set(signatures.map(({ id }) => id.replace(/[a-c]$/, '')));
  t.is(families.size, 16, 'each of the paper, also where nothing was tested');
  await access(report);
  const html = await readFile(report, 'utf8');
  for (const { id } of signatures) t.true(html.includes(id), id);
  t.false(/(src|href)="https?:/.test(html));
});

test('S1.3: the stream in its order gives the online policy bit for bit', async (t) => {
  const { signatures } = await first;
  const [online, tandem, shuffled] = [
    await arm('online IPO'),
    await arm('tandem'),
    await arm('shuffled'),
  ];
  const bytes = (run: ArmRun) => readFile(weightsPath(run));
  t.deepEqual(await bytes(online), await bytes(tandem));
  t.notDeepEqual(await bytes(online), await bytes(shuffled));
  t.deepEqual(tandem.result.losses, online.result.losses);
  t.is(signatures.find(({ id }) => id === 'S1.3')?.verdict, 'holds');
});

test('arms differ in the source and in nothing else', async (t) => {
  const { source, ...rest } = (await arm('online IPO')).result.manifest;
  for (const name of ['tandem', 'offline IPO', 'shuffled IPO']) {
    const { source: otherSource, ...otherRest } = (await arm(name)).result.manifest;
    t.deepEqual(otherRest, rest, name);
    t.notDeepEqual(otherSource, source, name);
  }
});

test('the start of every arm is where it should be', async (t) => {
  const { start } = await first;
  t.is(start.kl, 0);
  t.is(start.accuracy, 0.5);
  t.is(start.chosenDrift, 0);
  const { points } = (await arm('online IPO')).result;
  t.deepEqual(
    points.map(({ step }) => step),
    recipe.evaluation.steps,
  );
  t.true(points.every(({ kl }) => kl > 0));
  t.true(points.every(({ outcomes }) => /^[WLT-]{8}$/.test(outcomes)));
});

test('points.csv has a line for each checkpoint', async (t) => {
  const { lab } = await first;
  const lines = (await readFile(join(whole, 'points.csv'), 'utf8')).trimEnd().split('\n');
  const points = lab.arms().reduce((sum, { result }) => sum + result.points.length, 0);
  t.is(lines.length, 1 + points);
  const cells = lines.map((line) => line.split(',').length);
  t.is(new Set(cells).size, 1);
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
  t.true(computed > 0 && computed < planned);
  t.is(await resultOf(folder), await resultOf(whole));
});

test('recipes are checked', (t) => {
  t.throws(() => recipeOf('galaxy'), { code: 'OPTION_INVALID', message: /ci, quick, cpu, gpu/ });
  t.throws(() => recipeOf('ci', { world: 'chess' }), { code: 'OPTION_INVALID', message: /chat/ });
  t.throws(() => recipeOf('ci', { seeds: 0 }), { code: 'OPTION_INVALID' });
  const changed = recipeOf('ci', { seeds: 2, world: 'help' });
  t.deepEqual(changed.seeds, [1, 2]);
  t.deepEqual(changed.asserts, ['S1.3']);
  t.deepEqual(recipeOf('gpu', { device: 'cpu' }).engine, { dtype: 'bf16', device: 'cpu' });
});
