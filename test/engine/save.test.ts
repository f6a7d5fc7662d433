// What is saved is what was in memory, in the family's own layout, whole or not at all.
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { openSafetensors } from '../../src/checkpoint/safetensors.js';
import { LanguageModel } from '../../src/engine/model.js';
import { guarded, native, settle } from '../../src/engine/native.js';
import { rangesToWrite } from '../../src/engine/tensors.js';
import {
  assertError,
  caught,
  goldenModels,
  smallConfig,
  temporaryFolder,
} from '../checkpoint/helpers.js';
import { assertBitEqual, assertTensorsBitEqual } from '../helpers/arrays.js';
import { randomForest } from '../helpers/forests.js';
import { golden, gradientsOf, load, owned, tensorsOf } from '../helpers/models.js';
import { rewardModel } from '../helpers/reference-files.js';

const forest = randomForest(3, { segments: 6, vocab: 68 });

/** The bytes of each tensor of a file, by name. */
const bytesOf = async (path: string): Promise<Map<string, string>> => {
  const [file, bytes] = [await openSafetensors(path), await readFile(path)];
  return new Map(
    [...file.tensors]
      .map(([name, { begin, end }]) => [name, bytes.toString('base64', begin, end)] as const)
      .sort(),
  );
};

for (const folder of await goldenModels()) {
  test(`${folder.split('/').at(-1)} comes back with the bytes that it had`, async (t) => {
    const target = join(await temporaryFolder(t), 'saved');
    const model = await load(t, folder);
    await model.save(target);
    const [original, saved] = [
      await bytesOf(join(folder, 'model.safetensors')),
      await bytesOf(join(target, 'model.safetensors')),
    ];
    t.deepEqual([...saved.keys()], [...original.keys()]);
    for (const [name, bytes] of original) t.is(saved.get(name), bytes, name);
    t.is(
      await readFile(join(target, 'config.json'), 'utf8'),
      await readFile(join(folder, 'config.json'), 'utf8'),
    );
    const back = await load(t, target);
    const expected = await model.score(forest);
    assertBitEqual(t, (await back.score(forest)).logProbs, expected.logProbs, 'log-probs');
  });
}

test('shards hold the same weights', async (t) => {
  const target = join(await temporaryFolder(t), 'saved');
  const model = await load(t, golden('gpt_neox'));
  await model.save(target, { maxShardBytes: 50_000 });
  const names = await readdir(target);
  t.true(names.filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name)).length > 3);
  t.true(names.includes('model.safetensors.index.json'));
  const back = await load(t, target);
  const expected = await model.score(forest);
  assertBitEqual(t, (await back.score(forest)).logProbs, expected.logProbs, 'log-probs');
});

/** Round to nearest, ties to even, in the upper 16 bits. */
const toBfloat = (x: number): number => {
  const word = new Uint32Array(Float32Array.of(x).buffer);
  word[0] = ((word[0]! + 0x7fff + ((word[0]! >>> 16) & 1)) & 0xffff0000) >>> 0;
  return new Float32Array(word.buffer)[0]!;
};

/** Round to nearest, ties to even, to 11 bits, or to multiples of 2^-24. */
const toHalf = (x: number): number => {
  const unit = 2 ** Math.max(Math.floor(Math.log2(Math.abs(x) || 1)) - 10, -24);
  const scaled = x / unit;
  const floor = Math.floor(scaled);
  const up = scaled - floor > 0.5 || (scaled - floor === 0.5 && floor % 2 !== 0);
  return (floor + (up ? 1 : 0)) * unit;
};

for (const [dtype, round] of [
  ['BF16', toBfloat],
  ['F16', toHalf],
] as const) {
  test(`${dtype} files hold the weights rounded to nearest`, async (t) => {
    const target = join(await temporaryFolder(t), 'saved');
    for (const family of ['gpt2', 'llama']) {
      const model = await load(t, golden(family));
      await model.save(target, { dtype });
      t.is((await readCheckpoint(target)).dtype, dtype);
      const rounded = await tensorsOf(join(golden(family), 'model.safetensors'));
      for (const values of rounded.values()) values.forEach((x, i) => (values[i] = round(x)));
      assertTensorsBitEqual(
        t,
        new Map([...(await tensorsOf(join(target, 'model.safetensors')))].sort()),
        new Map([...rounded].sort()),
      );
      // bf16 by default, and saving a frozen one again writes what was read.
      const frozen = await load(t, target, { trainable: false });
      t.is(frozen.dtype, 'bf16');
      if (dtype !== 'BF16') continue;
      const again = join(target, '..', 'again');
      await frozen.save(again);
      t.deepEqual(
        await bytesOf(join(again, 'model.safetensors')),
        await bytesOf(join(target, 'model.safetensors')),
      );
    }
  });
}

test('a bf16 model saves its f32 master weights', async (t) => {
  const target = join(await temporaryFolder(t), 'saved');
  const model = await load(t, golden('llama'), { dtype: 'bf16' });
  await model.save(target);
  t.deepEqual(
    await bytesOf(join(target, 'model.safetensors')),
    await bytesOf(join(golden('llama'), 'model.safetensors')),
  );
});

test('scalar heads survive', async (t) => {
  const target = join(await temporaryFolder(t), 'saved');
  const scalars = async (model: LanguageModel) =>
    (await model.score(forest, { scalarAt: 'last' })).scalars;
  const reward = await load(t, rewardModel);
  const fresh = await load(t, golden('qwen2'), { scalarHead: 3 });
  for (const [model, outputs] of [
    [reward, 1],
    [fresh, 3],
  ] as const) {
    await model.save(target);
    const expected = await scalars(model);
    t.is(expected.length, outputs * forest.filter(({ scored }) => scored).length);
    t.true(expected.every((x) => x !== 0));
    assertBitEqual(t, await scalars(await load(t, target)), expected, 'scalars');
  }
});

test('a created model can be saved and loaded', async (t) => {
  const target = join(await temporaryFolder(t), 'saved');
  for (const family of ['llama', 'gpt2', 'gpt_neox']) {
    const model = owned(t, await LanguageModel.create(smallConfig(family), { seed: 5 }));
    await model.save(target);
    const batch = [{ tokens: [1, 2, 3, 4] }];
    const expected = await model.score(batch);
    const back = await load(t, target);
    assertBitEqual(t, (await back.score(batch)).logProbs, expected.logProbs, family);
  }
});

test('a save that fails leaves nothing behind', async (t) => {
  const folder = await temporaryFolder(t);
  const model = await load(t, golden('llama'));
  const names = async (): Promise<string[]> => (await readdir(folder)).sort();
  await writeFile(join(folder, 'file'), '');
  assertError(t, await caught(() => model.save(join(folder, 'file'))), 'IO_FAILED');
  assertError(t, await caught(() => model.save(join(folder, 'file', 'below'))), 'IO_FAILED');
  await mkdir(join(folder, 'mine'));
  await writeFile(join(folder, 'mine', 'thesis.txt'), 'precious');
  assertError(t, await caught(() => model.save(join(folder, 'mine'))), 'OPTION_INVALID', 'thesis');
  const signal = AbortSignal.abort(new Error('no'));
  await caught(() => model.save(join(folder, 'aborted'), { signal }));
  await caught(() => model.saveGradients(join(folder, 'nowhere', 'gradients')));
  t.deepEqual(await names(), ['file', 'mine']);
  t.is(await readFile(join(folder, 'mine', 'thesis.txt'), 'utf8'), 'precious');
});

test('a full disk is an error with a way out', async (t) => {
  const checkpoint = await readCheckpoint(golden('llama'));
  const model = guarded(() => new (native().NativeModel)(checkpoint.shape, 'f32', true));
  const ranges = rangesToWrite(checkpoint.tensors, model.slotNames(), 'F32');
  const header = new Uint8Array(8);
  const write = (path: string) => settle(model.write('weights', ranges, path, header));
  assertError(t, await caught(() => write('/dev/full')), 'IO_FAILED', 'No space left', '/dev/full');
  await settle(model.dispose());
});

test('saves that overlap do not mix', async (t) => {
  const folder = await temporaryFolder(t);
  const models = await Promise.all(['llama', 'gpt2', 'qwen3'].map((name) => load(t, golden(name))));
  await Promise.all(
    models.map(async (model) => {
      const pass = await model.forward(forest);
      await pass.backward({ logProbs: new Float32Array(pass.logProbs.length).fill(1) });
    }),
  );
  const expected = await Promise.all(models.map(gradientsOf));
  await Promise.all(models.map((model, i) => model.saveGradients(join(folder, String(i)))));
  for (const i of models.keys()) {
    assertTensorsBitEqual(t, await tensorsOf(join(folder, String(i))), expected[i]!);
  }
  t.deepEqual((await readdir(folder)).sort(), ['0', '1', '2']);
  const target = join(folder, 'model');
  await Promise.all(
    [models[0]!.save(target), models[0]!.save(target)].map((save) => save.catch(String)),
  );
  const back = await load(t, target);
  const { logProbs } = await models[0]!.score(forest);
  assertBitEqual(t, (await back.score(forest)).logProbs, logProbs, 'log-probs');
});

test('a save that fails half-way leaves the older checkpoint', async (t) => {
  const folder = await temporaryFolder(t);
  const target = join(folder, 'model');
  const model = await load(t, golden('llama'));
  await model.save(target);
  const before = await bytesOf(join(target, 'model.safetensors'));
  const other = await load(t, golden('gpt2'));
  const saving = other.save(target, { maxShardBytes: 10_000 });
  await other.dispose();
  assertError(t, await caught(() => saving), 'DISPOSED');
  t.deepEqual(await readdir(folder), ['model']);
  t.deepEqual(await bytesOf(join(target, 'model.safetensors')), before);
});
