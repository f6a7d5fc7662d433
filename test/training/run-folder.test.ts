// A run folder: what it holds, when it is refused, and that one process has it at a time.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parse } from 'yaml';
import { LanguageModel } from '../../src/engine/model.js';
import type { Source } from '../../src/sources/source.js';
import { readJsonLines } from '../../src/training/json-text.js';
import { RunFolder } from '../../src/training/run-folder.js';
import type { CheckpointParts, TrainStep } from '../../src/training/run.js';
import type { Tracker } from '../../src/training/trackers/tracker.js';
import { assertError, caught, smallConfig, temporaryFolder } from '../checkpoint/helpers.js';
import { golden, load, odd, owned, weightBytes } from '../helpers/models.js';

const source: Source = {
  describe: () => ({ source: 'none' }),
  take: () => Promise.resolve([]),
  state: () => null,
  restore: () => undefined,
};

const stepOf = (index: number, metrics = {}): TrainStep => ({
  index,
  loss: 0.5,
  gradNorm: 1.5,
  learningRate: 1e-3,
  tokens: index * 10,
  epoch: 0.25,
  seconds: 2,
  metrics,
});

const parts = (policy: LanguageModel, step: number): CheckpointParts => ({
  state: { step, tokens: step * 10, source: null, parts: {} },
  policy,
  models: {},
  source,
});

const open = async (
  t: ExecutionContext,
  folder: string,
  options: Parameters<typeof RunFolder.open>[1] = {},
): Promise<RunFolder> => owned(t, await RunFolder.open(folder, options));

test('what a run writes', async (t) => {
  const folder = join(await temporaryFolder(t), 'a', 'run');
  const seen: [number, Readonly<Record<string, number>>][] = [];
  const texts: string[] = [];
  const tracker: Tracker = {
    log: (step, scalars) => Promise.resolve(void seen.push([step, scalars])),
    logText: (name) => Promise.resolve(void texts.push(name)),
    close: () => Promise.resolve(void texts.push('closed')),
  };
  const config = { learning_rate: 1e-5, data: { path: 'a.jsonl' }, none: null };
  const run = await RunFolder.open(folder, { config, trackers: [tracker] });
  await run.begin({ seed: 7n, beta: Infinity });
  await run.logStep(stepOf(1, { 'rewards/chosen': 2, loss: 99, odd: NaN }));
  await run.logEvaluation(1, { loss: 3, eval_accuracy: 0.5 });
  await run.end(true);
  t.deepEqual((await readdir(folder)).sort(), [
    'config.yaml',
    'manifest.json',
    'metrics.jsonl',
    'tensorboard',
  ]);
  t.deepEqual(parse(await readFile(join(folder, 'config.yaml'), 'utf8')), config);
  t.deepEqual(await readJsonLines(join(folder, 'metrics.jsonl')), [
    {
      step: 1,
      loss: 0.5,
      grad_norm: 1.5,
      learning_rate: 1e-3,
      num_tokens: 10,
      epoch: 0.25,
      'rewards/chosen': 2,
      odd: 'NaN',
    },
    { step: 1, eval_loss: 3, eval_accuracy: 0.5 },
  ]);
  t.like(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')), {
    format: 1,
    status: 'completed',
    steps: 1,
    run: { seed: '7', beta: 'Infinity' },
    sessions: [{ fromStep: 0, node: process.version, device: 'cpu', exact: true }],
  });
  t.is(seen[0]![1]['train/loss'], 0.5);
  t.is(seen[0]![1]['train/step_seconds'], 2);
  t.deepEqual(seen[1], [1, { 'eval/loss': 3, 'eval/accuracy': 0.5 }]);
  t.deepEqual(texts, ['manifest', 'closed']);
});

test('a folder with another run is refused, resumed or replaced', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'thesis.txt'), 'precious');
  await (await RunFolder.open(folder, { config: { a: 1 } })).end(false);
  await mkdir(join(folder, 'checkpoint-3'));
  const before = await readdir(folder);
  const refused = await caught(() => RunFolder.open(folder, { config: { a: 1 } }));
  assertError(t, refused, 'RUN_INVALID', 'another run', 'resume', 'overwrite');
  t.deepEqual(await readdir(folder), before);
  const both = await caught(() => RunFolder.open(folder, { resume: true, overwrite: true }));
  assertError(t, both, 'OPTION_INVALID', 'not for both');
  await (await RunFolder.open(folder, { config: { a: 2 }, overwrite: true })).end(true);
  t.deepEqual((await readdir(folder)).sort(), [
    'config.yaml',
    'metrics.jsonl',
    'tensorboard',
    'thesis.txt',
  ]);
});

test('where there is nothing to resume', async (t) => {
  const folder = join(await temporaryFolder(t), 'run');
  const nothing = await caught(() => RunFolder.open(folder, { resume: true }));
  assertError(t, nothing, 'RUN_INVALID', 'no run');
  await t.throwsAsync(readdir(folder), { code: 'ENOENT' }, 'a refusal leaves nothing behind');
  const run = await open(t, folder, { resume: 'auto' });
  t.is(run.fromStep, 0);
});

test('a run is resumed with the settings that it began with', async (t) => {
  const folder = await temporaryFolder(t);
  const config = { learning_rate: 1e-5, data: { path: 'a' }, logging_steps: 1 };
  const first = await RunFolder.open(folder, { config });
  await first.begin({ objective: { name: 'dpo', beta: 0.1 } });
  await first.end(false);
  const changed = { ...config, data: { path: 'b' }, logging_steps: 5, seed: 1 };
  const other = await caught(() => RunFolder.open(folder, { config: changed, resume: true }));
  assertError(t, other, 'RUN_INVALID', 'data.path, logging_steps, seed');
  const mayChange = ['logging_steps'];
  const allowed = { ...config, logging_steps: 5 };
  const again = await RunFolder.open(folder, { config: allowed, resume: true, mayChange });
  const manifest = await caught(() => again.begin({ objective: { name: 'dpo', beta: 0.2 } }));
  assertError(t, manifest, 'RUN_INVALID', 'objective.beta');
  await again.begin({ objective: { name: 'dpo', beta: 0.1 } });
  await again.end(false);
  t.is(
    (parse(await readFile(join(folder, 'config.yaml'), 'utf8')) as typeof config).logging_steps,
    5,
  );
});

test('a checkpoint brings the tokenizer along, and is refused where it does not belong', async (t) => {
  const folder = await temporaryFolder(t);
  const [run, start] = [join(folder, 'run'), join(folder, 'start')];
  const policy = await odd(t, 'llama');
  await policy.save(start);
  await writeFile(join(start, 'tokenizer.json'), '{}');
  const first = await RunFolder.open(run, { tokenizer: start });
  await first.saveCheckpoint(parts(policy, 2));
  await first.end(false);
  t.is(await readFile(join(run, 'checkpoint-2', 'tokenizer.json'), 'utf8'), '{}');

  const again = await open(t, run, { resume: 'checkpoint-2' });
  t.is(again.fromStep, 2);
  t.regex(again.stateHash!, /^[0-9a-f]{64}$/);
  const early = await caught(() => again.logStep(stepOf(3)));
  assertError(t, early, 'RUN_INVALID', 'resume: true');
  const other = await odd(t, 'qwen3');
  const wrong = await caught(() => again.restore({ ...parts(other, 2) }));
  assertError(t, wrong, 'CHECKPOINT_INVALID', 'another model');
  const models = { critic: other };
  const more = await caught(() => again.restore({ ...parts(policy, 2), models }));
  assertError(t, more, 'RUN_INVALID', 'critic');
  const bytes = await weightBytes(policy);
  const fresh = await odd(t, 'llama', { seed: 2 });
  t.notDeepEqual(await weightBytes(fresh), bytes);
  t.is((await again.restore(parts(fresh, 2)))?.step, 2);
  t.deepEqual(await weightBytes(fresh), bytes);
});

test('a state that JSON would change is refused, and leaves no checkpoint', async (t) => {
  const folder = await temporaryFolder(t);
  const run = await open(t, folder);
  const policy = await odd(t, 'llama');
  for (const [value, words] of [
    [NaN, 'parts.kl is NaN'],
    [new Float32Array(2), 'parts.kl is a Float32Array'],
  ] as const) {
    const { state, ...rest } = parts(policy, 1);
    const broken = { ...state, parts: { kl: value as never } };
    const error = await caught(() => run.saveCheckpoint({ ...rest, state: broken }));
    assertError(t, error, 'RUN_INVALID', words);
  }
  t.false((await readdir(folder)).some((name) => name.includes('checkpoint')));
  const { state, ...rest } = parts(policy, 1);
  await run.saveCheckpoint({ ...rest, state: { ...state, parts: { zero: -0, gone: undefined! } } });
  await run.end(false);
  const again = await open(t, folder, { resume: true });
  const back = await again.restore(rest);
  t.true(Object.is(back!.parts.zero, -0));
});

test('a log that lost what a checkpoint counts on is refused', async (t) => {
  const folder = await temporaryFolder(t);
  const run = await RunFolder.open(folder);
  await run.logStep(stepOf(1));
  await run.saveCheckpoint(parts(await odd(t, 'llama'), 1));
  await run.end(false);
  await writeFile(join(folder, 'metrics.jsonl'), '');
  const error = await caught(() => RunFolder.open(folder, { resume: true }));
  assertError(t, error, 'RUN_INVALID', 'metrics.jsonl has 0 bytes');
  t.false((await readdir(folder)).includes('.lock'), 'a refusal unlocks');
});

test('a checkpoint of another folder is no checkpoint to resume', async (t) => {
  const folder = await temporaryFolder(t);
  const run = await RunFolder.open(folder);
  await run.saveCheckpoint(parts(await odd(t, 'llama'), 1));
  await run.end(false);
  const here = await RunFolder.open(folder, { resume: join(folder, 'checkpoint-1') });
  t.is(here.fromStep, 1);
  await here.end(false);
  for (const resume of ['/elsewhere/checkpoint-1', 'last']) {
    assertError(
      t,
      await caught(() => RunFolder.open(folder, { resume })),
      'OPTION_INVALID',
      resume,
    );
  }
  const absent = await caught(() => RunFolder.open(folder, { resume: 'checkpoint-9' }));
  assertError(t, absent, 'CHECKPOINT_INVALID', 'checkpoint-9');
});

test('one process at a time', async (t) => {
  const folder = await temporaryFolder(t);
  const lock = join(folder, '.lock');
  const run = await RunFolder.open(folder);
  const second = await caught(() => RunFolder.open(folder, { resume: true }));
  assertError(t, second, 'RUN_INVALID', `process ${process.pid}`, 'in use');
  await run.end(false);
  await run.end(true); // idempotent
  await t.throwsAsync(readlink(lock), { code: 'ENOENT' });

  // Of a process that is gone; of this one, had it started at another time; of another machine.
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  for (const gone of [`${child.pid}:1`, `${process.pid}:1`]) {
    await symlink(`${hostname()}:${gone}`, lock);
    await (await RunFolder.open(folder, { resume: true })).end(false);
  }
  await symlink('elsewhere:1:1', lock);
  const remote = await caught(() => RunFolder.open(folder, { resume: true }));
  assertError(t, remote, 'RUN_INVALID', 'elsewhere', lock);
  await rm(lock);

  const many = await Promise.all(
    Array.from({ length: 8 }, () => RunFolder.open(folder, { resume: true }).catch(() => null)),
  );
  t.is(many.filter((opened) => opened !== null).length, 1);
  for (const opened of many) await opened?.end(false);
});

test('options that mean nothing are refused before anything is made', async (t) => {
  const folder = join(await temporaryFolder(t), 'run');
  for (const options of [{ saveTotalLimit: 0 }, { saveTotalLimit: 1.5 }, { reportTo: 'wandb' }]) {
    assertError(t, await caught(() => RunFolder.open(folder, options)), 'OPTION_INVALID');
  }
  await t.throwsAsync(readdir(folder), { code: 'ENOENT' });
  await writeFile(folder, '');
  assertError(t, await caught(() => RunFolder.open(folder)), 'IO_FAILED');
});

test('weights go into a model of the same shape only, bit for bit', async (t) => {
  const folder = join(await temporaryFolder(t), 'saved');
  for (const dtype of ['f32', 'bf16'] as const) {
    const [from, to] = [
      await odd(t, 'qwen2', { dtype }),
      await odd(t, 'qwen2', { dtype, seed: 2 }),
    ];
    await from.save(folder);
    await to.loadWeights(folder);
    t.deepEqual(await weightBytes(to), await weightBytes(from));
    const batch = [{ tokens: [1, 2, 3, 4, 5] }];
    t.deepEqual((await to.score(batch)).logProbs, (await from.score(batch)).logProbs);
    const frozen = owned(t, await from.clone({ trainable: false }));
    await frozen.loadWeights(folder);
    t.deepEqual((await frozen.score(batch)).logProbs, (await from.score(batch)).logProbs);
  }
  const config = { ...smallConfig('qwen2'), rope_theta: 7, max_position_embeddings: 128 };
  const turned = owned(t, await LanguageModel.create({ ...config, n_positions: 128 }));
  const other = await load(t, golden('llama'));
  for (const model of [turned, other]) {
    const error = await caught(() => model.loadWeights(folder));
    assertError(t, error, 'CHECKPOINT_INVALID', 'another model');
  }
});
