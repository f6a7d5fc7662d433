// What a study promises: nothing is computed twice, what was killed goes on, nobody gets in its way.
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { type Stage, type StageEvent, StagePlan, Study } from '../../src/studies/study.js';

const folder = async (t: ExecutionContext): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'alignlab-study-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
};

const counting = (value: number, runs: { count: number }): Stage<{ readonly value: number }> => ({
  name: 'a stage',
  settings: { value },
  run: async ({ folder: own }) => {
    runs.count += 1;
    await writeFile(join(own, 'beside.txt'), String(value));
    return { value };
  },
});

test('a stage runs once, in this session and the next', async (t) => {
  const path = await folder(t);
  const runs = { count: 0 };
  const events: StageEvent[] = [];
  {
    await using study = await Study.open(path);
    const first = await study.stage(counting(1, runs));
    const again = await study.stage(counting(1, runs));
    t.is(first.key, again.key);
    t.is(study.computed, 1);
  }
  await using study = await Study.open(path, { resume: true, onEvent: (e) => events.push(e) });
  const kept = await study.stage(counting(1, runs));
  t.deepEqual(kept.result, { value: 1 });
  t.is(await readFile(join(kept.folder, 'beside.txt'), 'utf8'), '1');
  t.is(runs.count, 1);
  t.is(study.computed, 0);
  t.deepEqual(
    events.map(({ kind }) => kind),
    ['reused'],
  );
});

test('other settings or other inputs are another stage', async (t) => {
  const runs = { count: 0 };
  await using study = await Study.open(await folder(t));
  const one = await study.stage(counting(1, runs));
  const two = await study.stage(counting(2, runs));
  const of = (input: typeof one) =>
    study.stage({ name: 'next', settings: {}, inputs: [input], run: () => Promise.resolve({}) });
  const [next, other] = [await of(one), await of(two)];
  t.is(runs.count, 2);
  t.not(one.key, two.key);
  t.not(next.key, other.key);
});

test('a stage that fails leaves nothing, and runs again', async (t) => {
  const path = await folder(t);
  await using study = await Study.open(path);
  const failing: Stage<{ readonly value: number }> = {
    ...counting(1, { count: 0 }),
    run: () => Promise.reject(new Error('no more')),
  };
  await t.throwsAsync(study.stage(failing), { message: 'no more' });
  t.deepEqual(await readdir(join(path, 'stages')), []);
  t.is((await study.stage(counting(1, { count: 0 }))).result.value, 1);
});

test('a folder with a study is gone on with only when asked', async (t) => {
  const path = await folder(t);
  {
    await using study = await Study.open(path);
    await study.stage(counting(1, { count: 0 }));
    await t.throwsAsync(Study.open(path, { resume: true }), { code: 'RUN_INVALID' });
  }
  await t.throwsAsync(Study.open(path), { code: 'RUN_INVALID', message: /--resume/ });
});

test('what a killed process left half-written is removed', async (t) => {
  const path = await folder(t);
  const half = join(path, 'stages', '.a-stage-0123.saving-77-abcd');
  await mkdir(half, { recursive: true });
  await using study = await Study.open(path, { resume: true });
  t.deepEqual(await readdir(join(study.folder, 'stages')), []);
});

test('a result that was changed is refused', async (t) => {
  const path = await folder(t);
  await using study = await Study.open(path);
  const { folder: own } = await study.stage(counting(1, { count: 0 }));
  const file = join(own, 'stage.json');
  const text = await readFile(file, 'utf8');
  t.true(text.includes('"result":{"value":1}'));
  await writeFile(file, text.replace('"result":{"value":1}', '"result":{"value":2}'));
  const again = study[Symbol.asyncDispose]().then(() => Study.open(path, { resume: true }));
  await using other = await again;
  await t.throwsAsync(other.stage(counting(1, { count: 0 })), { code: 'RUN_INVALID' });
});

test('asked for twice at the same time, a stage runs once; stages run one after the other', async (t) => {
  const runs = { count: 0 };
  const events: StageEvent[] = [];
  await using study = await Study.open(await folder(t), { onEvent: (e) => events.push(e) });
  const stages = [counting(1, runs), counting(1, runs), counting(2, runs)];
  await Promise.all(stages.map((stage) => study.stage(stage)));
  t.is(runs.count, 2);
  t.deepEqual(
    events.map(({ kind }) => kind),
    ['started', 'finished', 'started', 'finished'],
  );
});

test('a stage that asks for another one while it runs is refused', async (t) => {
  await using study = await Study.open(await folder(t));
  const inner = counting(1, { count: 0 });
  const run = async () => ({ value: (await study.stage(inner)).result.value });
  await t.throwsAsync(study.stage({ name: 'outer', settings: {}, run }), {
    code: 'INTERNAL',
    message: /"outer" asked for "a stage".*inputs/,
  });
});

test('a plan counts the stages and runs none', async (t) => {
  const runs = { count: 0 };
  const plan = new StagePlan();
  const { key } = await plan.stage(counting(1, runs));
  await plan.stage(counting(1, runs));
  await plan.stage(counting(2, runs));
  t.is(plan.size, 2);
  t.is(runs.count, 0);
  await using study = await Study.open(await folder(t));
  t.is((await study.stage(counting(1, runs))).key, key);
});

test('a result that JSON cannot hold is refused', async (t) => {
  await using study = await Study.open(await folder(t));
  const stage = { name: 'odd', settings: {}, run: () => Promise.resolve({ rate: NaN }) };
  await t.throwsAsync(study.stage(stage), { code: 'RUN_INVALID', message: /rate/ });
});

test('an aborted study keeps what is finished', async (t) => {
  const path = await folder(t);
  const controller = new AbortController();
  const runs = { count: 0 };
  {
    await using study = await Study.open(path, { signal: controller.signal });
    await study.stage(counting(1, runs));
    controller.abort();
    await t.throwsAsync(study.stage(counting(2, runs)), { code: 'ABORTED' });
  }
  await using study = await Study.open(path, { resume: true });
  await study.stage(counting(1, runs));
  await study.stage(counting(2, runs));
  t.is(runs.count, 2);
});
