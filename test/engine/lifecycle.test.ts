// Disposal, garbage collection, worker threads, process exit, memory limits: an engine lives inside
// somebody else's process.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { deviceName, engineInfo, setMemoryLimit } from '../../src/engine/device.js';
import { LanguageModel } from '../../src/engine/model.js';
import { native } from '../../src/engine/native.js';
import { assertError, caught, smallConfig, temporaryFolder } from '../checkpoint/helpers.js';
import { assertBitEqual } from '../helpers/arrays.js';
import { collectGarbage } from '../helpers/garbage.js';
import { medium, mediumText } from '../helpers/medium.js';
import { golden } from '../helpers/models.js';
import { runProgram } from '../helpers/programs.js';

const batch = [{ tokens: [1, 2, 3] }];
const small = smallConfig('llama');
// The budget, the count and the estimates are of the host's memory.
const onCpu = deviceName() === 'cpu' ? test.serial : test.serial.skip;

onCpu('dispose gives the memory back, more than once', async (t) => {
  const before = engineInfo().bytesInUse;
  const model = await LanguageModel.create(medium);
  t.true(engineInfo().bytesInUse - before > 27e6);
  t.false(model.disposed);
  await model.dispose();
  t.is(engineInfo().bytesInUse, before);
  await Promise.all([model.dispose(), model.dispose()]);
  t.true(model.disposed);
  {
    await using other = await LanguageModel.create(small);
    t.true(other.bytes > 0);
  }
  t.is(engineInfo().bytesInUse, before);
});

test.serial('every call after dispose is refused', async (t) => {
  const model = await LanguageModel.create(small);
  const pass = await model.forward(batch);
  await model.dispose();
  const folder = await temporaryFolder(t);
  const path = join(folder, 'below', 'saved');
  const calls: readonly (() => unknown)[] = [
    () => model.score(batch),
    () => model.forward(batch),
    () => pass.backward({}),
    () => model.kl(model, batch),
    () => model.generate([[1]]),
    () => model.generateStream([[1]]).result,
    () => model.step({ learningRate: 1 }),
    () => model.gradNorm(),
    () => model.zeroGradients(),
    () => model.clone(),
    () => model.save(path),
    () => model.saveGradients(path),
    () => model.saveOptimizer(path),
    () => model.steps,
  ];
  for (const call of calls) assertError(t, await caught(call), 'DISPOSED');
  t.deepEqual(await readdir(folder), []);
});

test.serial('calls that are under way at dispose reject with ABORTED', async (t) => {
  const model = await LanguageModel.create(medium);
  const options = { maxNewTokens: 2000, stopTokens: [] };
  const calls = [
    model.generate([[1]], options),
    model.score([{ tokens: mediumText(2000) }]),
    model.forward(batch),
    model.clone(),
    model.zeroGradients(),
  ];
  const outcomes = Promise.all(calls.map((call) => caught(() => call)));
  await model.dispose();
  for (const error of await outcomes) assertError(t, error, 'ABORTED');
});

test.serial('clones, passes and calls outlive their model', async (t) => {
  await collectGarbage(); // of the test before, which would go in the middle of this one
  const before = engineInfo().bytesInUse;
  const model = await LanguageModel.create(small, { seed: 4 });
  const expected = (await model.score(batch)).logProbs;
  const copy = await model.clone();
  const pass = await model.forward(batch);
  await model.dispose();
  assertBitEqual(t, (await copy.score(batch)).logProbs, expected, 'clone');
  pass.dispose();
  await copy.dispose();
  t.is(engineInfo().bytesInUse, before);
  const calls = Array.from({ length: 3 }, async () => {
    const dropped = await LanguageModel.create(medium);
    return dropped.score([{ tokens: mediumText(500) }]);
  });
  await collectGarbage();
  for (const { logProbs } of await Promise.all(calls)) t.is(logProbs.length, 499);
});

onCpu('models left to the garbage collector give their memory back', async (t) => {
  await collectGarbage();
  const before = engineInfo().bytesInUse;
  const heads = { num_attention_heads: 2, num_key_value_heads: 2 };
  const config = { ...medium, ...heads, hidden_size: 128, num_hidden_layers: 1, vocab_size: 500 };
  const fill = async (): Promise<number> => {
    const models: LanguageModel[] = [];
    for (let i = 0; i < 50; ++i) {
      const model = await LanguageModel.create(config);
      if (i % 10 === 0) await model.forward(batch); // nor is the pass disposed of
      models.push(model);
    }
    return engineInfo().bytesInUse - before;
  };
  const held = await fill();
  t.true(held > 50 * 1.5e6, `${held} bytes`);
  await collectGarbage();
  const left = engineInfo().bytesInUse - before;
  // A conservative root or two may keep a model.
  t.true(left < held / 10, `${left} of ${held} bytes are still held`);
});

onCpu('past the memory limit a call fails and the engine goes on', async (t) => {
  t.teardown(() => {
    setMemoryLimit(0);
  });
  await using model = await LanguageModel.create(medium);
  const texts = Array.from({ length: 4 }, () => ({ tokens: mediumText(500) }));
  const expected = (await model.score(batch)).logProbs;
  const limit = engineInfo().bytesInUse + 2_000_000;
  setMemoryLimit(limit);
  t.is(engineInfo().byteLimit, limit);
  const before = engineInfo().bytesInUse;
  const calls: readonly (() => unknown)[] = [
    () => model.score(texts),
    () => model.forward(texts),
    () => model.generate([[1]], { samples: 64, maxNewTokens: 1000, maxBatch: 64 }),
    () => model.clone(),
    () => LanguageModel.create(medium),
  ];
  for (const call of calls) {
    assertError(t, await caught(call), 'OUT_OF_MEMORY', 'limit');
    t.true(engineInfo().bytesInUse <= before, 'a failed call leaves nothing behind');
    assertBitEqual(t, (await model.score(batch)).logProbs, expected, 'scores afterwards');
  }
  setMemoryLimit(0);
  t.is((await model.score(texts)).logProbs.length, 4 * 499);
});

test.serial('what a machine cannot have is refused, not attempted', async (t) => {
  const huge = { ...small, hidden_size: 65_536, intermediate_size: 262_144, num_hidden_layers: 60 };
  const error = await caught(() => LanguageModel.create({ ...huge, head_dim: 128 }));
  assertError(t, error, 'OUT_OF_MEMORY');
});

onCpu('estimates are what is used', async (t) => {
  const folder = golden('llama');
  const tokens = 100;
  for (const dtype of ['f32', 'bf16'] as const) {
    for (const trainable of [true, false]) {
      const before = engineInfo().bytesInUse;
      const estimate = await LanguageModel.estimateMemory(folder, { dtype, trainable, tokens });
      t.is(engineInfo().bytesInUse, before);
      await using model = await LanguageModel.load(folder, { dtype, trainable });
      t.is(engineInfo().bytesInUse - before, estimate.weights, `${dtype} ${String(trainable)}`);
      const text = [{ tokens: new Int32Array(tokens).fill(5) }];
      if (!trainable) {
        await model.score(text);
        const used = engineInfo().bytesInUse - before - estimate.weights;
        t.true(used <= estimate.score && used > 0.9 * estimate.score, `${used} to score`);
        continue;
      }
      using pass = await model.forward(text);
      const used = engineInfo().bytesInUse - before - estimate.weights;
      t.true(used <= estimate.training && used > 0.9 * estimate.training, `${used} to train`);
      t.is(pass.logProbs.length, tokens - 1);
    }
  }
});

test.serial('an idle engine does not keep the process alive, a pending call does', async (t) => {
  const { code, stdout, stderr } = await runProgram('idle.ts');
  t.is(code, 0, stderr);
  t.is(stdout, 'scored 2\n');
});

test.serial('process.exit during work exits at once, with its code', async (t) => {
  const { code, stdout, stderr } = await runProgram('exit-during-work.ts');
  const late = Date.now() - Number(/exit at (\d+)/.exec(stdout)?.[1]);
  t.is(code, 7, stderr);
  // The work would go on for minutes; the layer that is being computed is finished.
  t.true(late < 10_000, `${late} ms`);
});

test.serial('nothing that is abandoned ends as an unhandled rejection', async (t) => {
  const { code, stdout, stderr } = await runProgram('abandoned.ts');
  t.is(code, 0, stderr);
  t.deepEqual(stdout.trim().split('\n'), ['ABORTED', 'AbortError', 'quiet']);
});

for (const [way, title, expected] of [
  ['compare', 'worker threads have engines of their own and agree', ['codes 0,0', 'equal']],
  ['terminate', 'a worker can be terminated during work', ['code 1', 'main 3']],
  [
    'worker-only',
    'an addon that only workers have loaded leaves the main thread alone',
    ['code 0', 'code 0', 'main goes on'],
  ],
] as const) {
  test.serial(title, async (t) => {
    const { code, signal, stdout, stderr } = await runProgram('workers.ts', [way]);
    t.deepEqual([code, signal], [0, null], stderr);
    t.deepEqual(stdout.trim().split('\n'), [...expected]);
  });
}

test.serial('native methods refuse receivers and arguments of another kind', async (t) => {
  const { NativeModel } = native();
  await using facade = await LanguageModel.create(small);
  const model = new NativeModel(facade.shape, 'f32', true);
  const methods = Object.entries(Object.getOwnPropertyDescriptors(NativeModel.prototype)).flatMap(
    ([name, { value }]) =>
      name === 'constructor' || typeof value !== 'function'
        ? []
        : [{ name, method: value as (this: unknown, ...args: unknown[]) => unknown }],
  );
  t.true(methods.length >= 15);
  const junk: readonly unknown[] = [undefined, null, 7, 'x', {}, [], new Float32Array(3), model];
  const derived: unknown = Object.create(NativeModel.prototype as object);
  const settled = async (value: unknown): Promise<void> => {
    await (value as { promise?: Promise<unknown> } | undefined)?.promise?.catch(() => undefined);
  };
  for (const { name, method } of methods) {
    for (const receiver of [undefined, {}, derived, new Map()]) {
      t.throws(() => method.call(receiver), { any: true }, `${name} on another object`);
    }
    if (name === 'dispose') continue;
    for (const a of junk) {
      for (const b of junk) await caught(() => settled(method.call(model, a, b, a, b)));
    }
  }
  for (const a of junk) await caught(() => new NativeModel(a as never, 'f32', true));
  model.dispose();
  t.is((await facade.score(batch)).logProbs.length, 2);
});
