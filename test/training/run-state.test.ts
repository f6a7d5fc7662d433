// A run that is stopped and goes on, is left, aborted, or ends early.
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { objectiveEntry } from '../../src/objectives/index.js';
import { datasetSource } from '../../src/sources/dataset.js';
import { EarlyStop } from '../../src/training/early-stop.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import type { TrainState } from '../../src/training/run.js';
import { train } from '../../src/training/train.js';
import { LanguageModel } from '../../src/engine/model.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';
import { owned, weightBytes } from '../helpers/models.js';
import { MemoryRecorder, runOf, somePairs, timeless, tiny } from './helpers.js';

const base = (policy: LanguageModel): TrainOptions => ({
  policy,
  source: datasetSource({ examples: somePairs(20), order: 'shuffled', seed: 4 }),
  objective: objectiveEntry('dpo').make(),
  optimizer: adamW({ learningRate: 1e-2 }),
  steps: 9,
  batchSize: 4,
});

/** Two epochs of two mini-batches: step 3 stands within a rollout, step 4 after one. */
const reuse: Partial<TrainOptions> = {
  rollouts: { epochs: 2, miniBatches: 2 },
  referenceSync: { every: 3, alpha: 0.5 },
};

const saving = (folder: string) =>
  new MemoryRecorder(async ({ state, policy, models }) => {
    for (const [name, model] of Object.entries({ policy, ...models })) {
      const path = join(folder, String(state.step), name);
      await model.save(path, { dtype: 'F32' });
      if (model.trainable) await model.saveOptimizer(join(path, 'optimizer'));
    }
  });

const resumed = async (t: ExecutionContext, folder: string, state: TrainState) => {
  const path = join(folder, String(state.step));
  const policy = owned(t, await LanguageModel.load(join(path, 'policy')));
  await policy.loadOptimizer(join(path, 'policy', 'optimizer'));
  const reference = owned(
    t,
    await LanguageModel.load(join(path, 'reference'), { trainable: false }),
  );
  const steps = await runOf({ ...base(policy), ...reuse, reference, resume: state });
  return { steps: timeless(steps), bytes: await weightBytes(policy) };
};

test('resumed within and after a rollout, a run equals the uninterrupted one bit for bit', async (t) => {
  const folder = await temporaryFolder(t);
  const policy = await tiny(t);
  const recorder = saving(folder);
  const options = { ...base(policy), ...reuse, recorder, checkpoints: [3, 4] };
  const steps = timeless(await runOf(options));
  const bytes = await weightBytes(policy);
  t.deepEqual(
    recorder.states.map(({ step }) => step),
    [3, 4, 9],
  );
  t.true(recorder.completed);
  t.true('rollout' in recorder.states[0]!.parts);
  t.false('rollout' in recorder.states[1]!.parts);
  for (const state of recorder.states.slice(0, 2)) {
    const rest = await resumed(t, folder, state);
    t.deepEqual(rest.steps, steps.slice(state.step));
    t.deepEqual(rest.bytes, bytes);
  }
});

test('a state with a broken rollout is refused', async (t) => {
  const recorder = new MemoryRecorder();
  const policy = await tiny(t);
  await runOf({ ...base(policy), ...reuse, steps: 3, recorder, checkpoints: [3] });
  const [state] = recorder.states;
  const broken = { ...state!, parts: { ...state!.parts, rollout: { takenAt: 1 } } };
  const error = await caught(() => runOf({ ...base(policy), ...reuse, resume: broken }));
  assertError(t, error, 'CHECKPOINT_INVALID', 'rollout');
});

test('a reference that follows is the closed form of its mixture', async (t) => {
  const policy = await tiny(t);
  const start = await policy.clone({ trainable: false });
  const reference = owned(t, start);
  const expected = owned(t, await start.clone({ trainable: true }));
  const referenceSync = { every: 3, alpha: 0.6 };
  for await (const { index } of train({ ...base(policy), reference, referenceSync })) {
    if (index % 3 === 0) await expected.blend(policy, 0.6);
    t.deepEqual(await weightBytes(reference), await weightBytes(expected));
  }
});

test('leaving the loop ends the run; the policy stays usable', async (t) => {
  const policy = await tiny(t);
  const recorder = new MemoryRecorder();
  for await (const { index } of train({ ...base(policy), recorder })) if (index === 2) break;
  t.is(recorder.steps.length, 2);
  t.false(recorder.completed);
  t.is((await runOf({ ...base(policy), steps: 1 })).length, 1);
});

test('an abort ends it within a step, and leaves the policy as after the last one', async (t) => {
  const policy = await tiny(t);
  const recorder = new MemoryRecorder();
  const controller = new AbortController();
  const source = datasetSource({ examples: somePairs(20) });
  let after: Buffer | null = null;
  const options: TrainOptions = {
    ...base(policy),
    recorder,
    signal: controller.signal,
    source: {
      describe: () => ({ source: 'test' }),
      state: () => source.state(),
      restore: (state) => {
        source.restore(state);
      },
      take: async (count, context) => {
        const examples = await source.take(count, context);
        if (context.step === 2) controller.abort();
        return examples;
      },
    },
  };
  const error = await caught(async () => {
    for await (const { index } of train(options)) {
      if (index === 2) after = await weightBytes(policy);
    }
  });
  assertError(t, error, 'ABORTED');
  t.is(recorder.steps.length, 2);
  t.false(recorder.completed);
  t.deepEqual(await weightBytes(policy), after!);
  await policy.zeroGradients();
});

test('an evaluation that answers the signal ends the run as aborted', async (t) => {
  const controller = new AbortController();
  const { signal } = controller;
  const run = (): Promise<Record<string, number>> => {
    controller.abort();
    return Promise.reject(signal.reason as Error);
  };
  const options = { ...base(await tiny(t)), signal, evaluate: { every: 1, run } };
  assertError(t, await caught(() => runOf(options)), 'ABORTED');
});

test('aborted before it begins, a run begins nothing', async (t) => {
  const recorder = new MemoryRecorder();
  const options = { ...base(await tiny(t)), recorder, signal: AbortSignal.abort() };
  assertError(t, await caught(() => runOf(options)), 'ABORTED');
  t.is(recorder.manifest, null);
  t.is(recorder.completed, null);
});

test('evaluations come when they are planned, are recorded, and can end the run', async (t) => {
  const recorder = new MemoryRecorder();
  const losses = [5, 4, 4.5, 4.6, 1];
  const steps = await runOf({
    ...base(await tiny(t)),
    recorder,
    checkpoints: 100,
    evaluate: {
      every: 2,
      atStart: true,
      run: ({ step }) => Promise.resolve({ eval_loss: losses[step / 2]! }),
    },
    earlyStop: new EarlyStop({ metric: 'eval_loss', patience: 2 }),
  });
  t.is(steps.length, 6);
  t.deepEqual(
    recorder.evaluations.map(({ step }) => step),
    [0, 2, 4, 6],
  );
  t.true(recorder.completed);
  t.deepEqual(
    recorder.states.map(({ step }) => step),
    [6],
  );
});

test('the manifest says what decides the numbers', async (t) => {
  const recorder = new MemoryRecorder();
  const options = { ...base(await tiny(t)), recorder, manifest: { data: { file: 'a.jsonl' } } };
  await runOf({ ...options, normalization: { microBatch: 2 } });
  t.like(recorder.manifest, {
    data: { file: 'a.jsonl' },
    objective: { name: 'dpo' },
    source: { source: 'dataset', order: 'shuffled' },
    normalization: { microBatch: 2 },
    optimizer: { name: 'adamw', learningRate: 1e-2 },
    schedule: { type: 'linear' },
    batchSize: 4,
    steps: 9,
  });
  t.notThrows(() => JSON.stringify(recorder.manifest));
});
