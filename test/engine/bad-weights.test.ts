// Weights that are damaged, or were cut off after the file's header had been checked.
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { LanguageModel } from '../../src/engine/model.js';
import { guarded, native, settle } from '../../src/engine/native.js';
import { rangesOfFile } from '../../src/engine/tensors.js';
import {
  assertError,
  caught,
  randomTensors,
  smallConfig,
  temporaryFolder,
  writeCheckpoint,
} from '../checkpoint/helpers.js';
import { golden, load, weightBytes } from '../helpers/models.js';
import { runProgram } from '../helpers/programs.js';

test('weights that are not finite are refused by name', async (t) => {
  const folder = await temporaryFolder(t);
  const config = smallConfig('llama');
  for (const dtype of ['f32', 'bf16'] as const) {
    for (const trainable of [true, false]) {
      for (const value of [NaN, Infinity, -Infinity]) {
        const tensors = randomTensors(config);
        const name = 'model.layers.1.self_attn.k_proj.weight';
        tensors.get(name)!.data[17] = value;
        await writeCheckpoint(folder, config, tensors);
        const error = await caught(() => LanguageModel.load(folder, { dtype, trainable }));
        assertError(t, error, 'NON_FINITE', name);
      }
    }
  }
});

test('a model that gives no finite numbers says so, and does not crash', async (t) => {
  const folder = await temporaryFolder(t);
  const config = smallConfig('llama');
  const tensors = randomTensors(config);
  tensors.get('model.norm.weight')!.data.fill(3e38);
  tensors.get('lm_head.weight')!.data.fill(3e38);
  const model = await load(t, await writeCheckpoint(folder, config, tensors));
  const batch = [{ tokens: [1, 2, 3] }];
  assertError(t, await caught(() => model.score(batch)), 'NON_FINITE', 'weights');
  assertError(t, await caught(() => model.forward(batch)), 'NON_FINITE');
  assertError(t, await caught(() => model.generate([[1]], { maxNewTokens: 2 })), 'NON_FINITE');
});

test('a file that is cut after its header was checked', async (t) => {
  const folder = await temporaryFolder(t);
  const checkpoint = await readCheckpoint(golden('llama'));
  const model = guarded(() => new (native().NativeModel)(checkpoint.shape, 'f32', true));
  const ranges = rangesOfFile(checkpoint.tensors, model.slotNames());
  const path = join(folder, 'cut.safetensors');
  const bytes = await readFile(join(golden('llama'), 'model.safetensors'));
  await writeFile(path, bytes.subarray(0, 5000));
  const cut = ranges.map((range) => ({ ...range, path }));
  assertError(
    t,
    await caught(() => settle(model.read('weights', cut))),
    'CHECKPOINT_INVALID',
    'cut short',
  );
  await truncate(path, 0);
  assertError(t, await caught(() => settle(model.read('weights', cut))), 'CHECKPOINT_INVALID');
  const gone = ranges.map((range) => ({ ...range, path: join(folder, 'gone') }));
  assertError(t, await caught(() => settle(model.read('weights', gone))), 'IO_FAILED', 'gone');
  await settle(model.read('weights', ranges));
  model.dispose();
});

test('a file that another process cuts off while it is read is an error, not a crash', async (t) => {
  const { code, signal, stdout, stderr } = await runProgram('cut-file.ts');
  t.deepEqual({ code, signal }, { code: 0, signal: null }, stderr);
  const outcomes = JSON.parse(stdout) as string[];
  // A fast machine may have read everything before the later cuts.
  t.true(outcomes.includes('CHECKPOINT_INVALID'), stdout);
  t.true(
    outcomes.every((outcome) => ['read', 'CHECKPOINT_INVALID'].includes(outcome)),
    stdout,
  );
});

test('a gradient that overflows is left out of the weights', async (t) => {
  const model = await load(t, golden('llama'));
  const before = await weightBytes(model);
  const batch = [{ tokens: [1, 2, 3] }];
  const pass = await model.forward(batch);
  await pass.backward({ logProbs: Float32Array.of(3e38, 3e38) });
  assertError(t, await caught(() => model.step({ learningRate: 1e-3 })), 'NON_FINITE', 'norm');
  t.true(before.equals(await weightBytes(model)));
  t.deepEqual([model.steps, await model.gradNorm()], [0, 0]);
  const next = await model.forward(batch);
  await next.backward({ logProbs: Float32Array.of(1, 1) });
  t.true((await model.step({ learningRate: 1e-3 })).gradNorm > 0);
});
