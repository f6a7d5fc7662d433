// Saving: the planned files hold what was asked for, and a folder appears whole or not at all.
import { mkdir, readFile, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { describeModel } from '../../src/checkpoint/config.js';
import { openSafetensors } from '../../src/checkpoint/safetensors.js';
import { type SavePlan, planSave, saveFolder, writeTexts } from '../../src/checkpoint/save.js';
import { readTensor } from '../../src/checkpoint/tensor-data.js';
import {
  assertError,
  caught,
  goldenModels,
  randomTensors,
  smallConfig,
  temporaryFolder,
  writeCheckpoint,
} from './helpers.js';

/** Writes the weights of a plan as f32, in the place of native code. */
const writeWeights = async (
  folder: string,
  plan: SavePlan,
  valuesOf: (name: string) => Float32Array,
): Promise<void> => {
  for (const { name, header, size, tensors } of plan.files) {
    const bytes = Buffer.alloc(size);
    header.copy(bytes);
    for (const tensor of tensors) {
      const { buffer, byteOffset, byteLength } = valuesOf(tensor.name);
      Buffer.from(buffer, byteOffset, byteLength).copy(bytes, tensor.begin);
    }
    await writeFile(join(folder, name), bytes);
  }
};

const floats = async (folder: string, file: string, name: string): Promise<Float32Array> => {
  const values = await readTensor(await openSafetensors(join(folder, file)), name);
  if (values instanceof Float32Array) return values;
  throw new Error(`${name} is not a float tensor`);
};

test('a reference checkpoint survives saving, in one file and in shards', async (t) => {
  const target = join(await temporaryFolder(t), 'a', 'b');
  for (const source of await goldenModels()) {
    const checkpoint = await readCheckpoint(source);
    const values = new Map<string, Float32Array>();
    for (const { name } of checkpoint.tensors) {
      values.set(name, await floats(source, 'model.safetensors', name));
    }
    for (const maxShardBytes of [undefined, 100_000]) {
      const options = maxShardBytes === undefined ? {} : { maxShardBytes };
      const plan = planSave(checkpoint, { dtype: 'F32', ...options });
      t.is(plan.files.length === 1, maxShardBytes === undefined);
      await saveFolder(target, async (folder) => {
        await writeTexts(folder, plan);
        await writeWeights(folder, plan, (name) => values.get(name) ?? new Float32Array());
      });
      const back = await readCheckpoint(target);
      t.deepEqual(back.shape, checkpoint.shape);
      t.deepEqual(back.texts, checkpoint.texts);
      t.deepEqual(
        back.tensors.map(({ name }) => name),
        checkpoint.tensors.map(({ name }) => name),
      );
      for (const { name, file } of back.tensors) {
        t.deepEqual(await readTensor(await openSafetensors(file), name), values.get(name));
      }
    }
  }
});

test('no shard but that of a single larger tensor passes the limit', (t) => {
  const model = describeModel(smallConfig('llama'), '');
  for (const limit of [1, 900, 2000, 1e9]) {
    const { files } = planSave(model, { dtype: 'BF16', maxShardBytes: limit });
    for (const { header, size, tensors } of files) {
      t.true(tensors.length === 1 || size - header.length <= limit);
      t.is(tensors[0]?.begin, header.length);
      t.is(tensors.at(-1)?.end, size);
    }
    t.is(files.flatMap(({ tensors }) => tensors).length, model.tensors.length);
  }
});

test('config.json keeps its text and says the dtype that was written', (t) => {
  const textOf = (config: Record<string, unknown>, text: string | null): string => {
    const texts = text === null ? {} : { texts: { config: text, generation: null } };
    const plan = planSave({ ...describeModel(config, ''), ...texts }, { dtype: 'BF16' });
    return plan.texts.find(({ name }) => name === 'config.json')?.content ?? '';
  };
  const config = smallConfig('llama');
  const own = JSON.stringify(config).slice(0, -1);
  t.is(
    textOf({ ...config, torch_dtype: 'float32' }, `${own}, "x": 1.0, "torch_dtype": "float32"}`),
    `${own}, "x": 1.0, "torch_dtype": "bfloat16"}`,
  );
  t.is(textOf(config, `${own}, "x": 1.0}`), `${own}, "x": 1.0}`);
  // A nested key of the same name: the text cannot be patched blindly.
  const nested = { ...config, dtype: 'float32', other: { dtype: 'int8' } };
  t.deepEqual(JSON.parse(textOf(nested, JSON.stringify(nested))), { ...nested, dtype: 'bfloat16' });
  t.deepEqual(JSON.parse(textOf(config, null)), { ...config, dtype: 'bfloat16' });
});

test('the tokenizer and generation_config.json come along', async (t) => {
  const folder = await temporaryFolder(t);
  const source = await writeCheckpoint(join(folder, 'source'), smallConfig('llama'));
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'merges.txt', 'README.md']) {
    await writeFile(join(source, name), `content of ${name}`);
  }
  await writeFile(join(source, 'generation_config.json'), '{"eos_token_id": 2, "top_p": 1.0}');
  const plan = planSave(await readCheckpoint(source), { dtype: 'F32' });
  const target = join(folder, 'target');
  await saveFolder(target, (temporary) => writeTexts(temporary, plan));
  t.deepEqual((await readdir(target)).sort(), [
    'config.json',
    'generation_config.json',
    'merges.txt',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
  const text = await readFile(join(target, 'generation_config.json'), 'utf8');
  t.is(text, '{"eos_token_id": 2, "top_p": 1.0}');
  t.is(await readFile(join(target, 'merges.txt'), 'utf8'), 'content of merges.txt');
});

const write = (text: string) => (folder: string) => writeFile(join(folder, 'config.json'), text);
const read = (folder: string) => readFile(join(folder, 'config.json'), 'utf8');

test('a failure leaves the target as it was and nothing beside it', async (t) => {
  const folder = await temporaryFolder(t);
  const target = join(folder, 'model');
  const failing = async (temporary: string): Promise<void> => {
    await write('half')(temporary);
    throw new Error('power cut');
  };
  const first = await caught(() => saveFolder(target, failing));
  t.is((first as Error).message, 'power cut');
  t.deepEqual(await readdir(folder), []);
  await saveFolder(target, write('old'));
  await caught(() => saveFolder(target, failing));
  t.is(await read(target), 'old');
  await saveFolder(target, write('new'));
  t.is(await read(target), 'new');
  t.deepEqual(await readdir(folder), ['model']);
});

test('the target is untouched until the new folder is complete', async (t) => {
  const target = join(await temporaryFolder(t), 'model');
  await saveFolder(target, write('old'));
  await saveFolder(target, async (temporary) => {
    await write('new')(temporary);
    t.is(await read(target), 'old');
    t.not(temporary, target);
  });
  t.is(await read(target), 'new');
});

test('a folder with other files is not replaced', async (t) => {
  const target = join(await temporaryFolder(t), 'home');
  await mkdir(target);
  await writeFile(join(target, 'thesis.txt'), 'years of work');
  const error = await caught(() => saveFolder(target, write('x')));
  assertError(t, error, 'OPTION_INVALID', 'thesis.txt');
  t.is(await readFile(join(target, 'thesis.txt'), 'utf8'), 'years of work');
  await saveFolder(target, write('x'), { mayReplace: (name) => name === 'thesis.txt' });
  t.deepEqual(await readdir(target), ['config.json']);
});

test('a save that was killed between its renames is repaired', async (t) => {
  const folder = await temporaryFolder(t);
  const target = join(folder, 'model');
  await writeCheckpoint(target, smallConfig('llama'));
  await rename(target, join(folder, '.model.previous'));
  const error = await caught(() => readCheckpoint(target));
  assertError(t, error, 'CHECKPOINT_NOT_FOUND', '.model.previous');
  await caught(() => saveFolder(target, () => Promise.reject(new Error('again'))));
  t.is((await readCheckpoint(target)).folder, target);
});

test('targets that cannot be are refused', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'file'), '');
  const file = await caught(() => saveFolder(join(folder, 'file'), write('x')));
  assertError(t, file, 'IO_FAILED', 'save to');
  const below = await caught(() => saveFolder(join(folder, 'file', 'model'), write('x')));
  assertError(t, below, 'IO_FAILED', 'save to');
});

test('a link as the target is replaced, what it points to stays', async (t) => {
  const folder = await temporaryFolder(t);
  await saveFolder(join(folder, 'real'), write('old'));
  await symlink('real', join(folder, 'link'));
  await saveFolder(join(folder, 'link'), write('new'));
  t.is(await read(join(folder, 'link')), 'new');
  t.is(await read(join(folder, 'real')), 'old');
});

test('a missing tokenizer file is an error that names it', async (t) => {
  const folder = await temporaryFolder(t);
  const tensors = randomTensors(smallConfig('gpt2'));
  const source = await writeCheckpoint(join(folder, 'source'), smallConfig('gpt2'), tensors);
  const checkpoint = await readCheckpoint(source);
  const plan = planSave({ ...checkpoint, tokenizerFiles: ['vocab.json'] }, { dtype: 'F32' });
  const error = await caught(() => saveFolder(join(folder, 'target'), (f) => writeTexts(f, plan)));
  assertError(t, error, 'IO_FAILED', 'vocab.json');
  t.deepEqual(await readdir(folder), ['source']);
});
