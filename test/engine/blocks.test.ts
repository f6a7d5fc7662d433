// A checkpoint loaded with its first blocks only.
import { join } from 'node:path';
import test from 'ava';
import { readCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { LanguageModel } from '../../src/engine/model.js';
import { familyNames, smallConfig, temporaryFolder } from '../checkpoint/helpers.js';
import { owned, tensorsOf } from '../helpers/models.js';

for (const family of familyNames) {
  test(`${family}: the first block, and what is not in blocks, are the checkpoint's`, async (t) => {
    const folder = await temporaryFolder(t);
    const [whole, cut] = [join(folder, 'whole'), join(folder, 'cut')];
    await owned(t, await LanguageModel.create(smallConfig(family), { seed: 3 })).save(whole);
    const model = owned(t, await LanguageModel.load(whole, { blocks: 1 }));
    t.is(model.shape.layers, 1);
    await model.save(cut);
    t.is((await readCheckpoint(cut)).shape.layers, 1);
    const all = await tensorsOf(join(whole, 'model.safetensors'));
    const own = await tensorsOf(join(cut, 'model.safetensors'));
    const secondBlock = [...all.keys()].filter((name) => name.includes('.1.'));
    t.true(secondBlock.length > 5);
    t.deepEqual(
      [...own.keys()].sort(),
      [...all.keys()].filter((name) => !secondBlock.includes(name)).sort(),
    );
    for (const [name, values] of own) t.deepEqual(values, all.get(name), name);
  });
}

test('blocks under a scalar head, and blocks that are not there', async (t) => {
  const folder = join(await temporaryFolder(t), 'model');
  await owned(t, await LanguageModel.create(smallConfig('llama'), { seed: 3 })).save(folder);
  const model = owned(t, await LanguageModel.load(folder, { blocks: 1, scalarHead: 1 }));
  t.deepEqual([model.shape.layers, model.shape.scalarOutputs], [1, 1]);
  for (const blocks of [0, 3, 1.5]) {
    await t.throwsAsync(LanguageModel.load(folder, { blocks }), {
      code: 'OPTION_INVALID',
      message: /from 1 to 2/,
    });
  }
});
