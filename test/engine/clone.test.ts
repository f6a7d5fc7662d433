// A clone has the weights of the moment, in the precision that is asked for, and a life of its own.
import test from 'ava';
import type { Dtype } from '../../src/engine/load.js';
import type { LanguageModel } from '../../src/engine/model.js';
import { assertBitEqual, assertTensorsBitEqual } from '../helpers/arrays.js';
import { randomForest } from '../helpers/forests.js';
import { golden, load, owned, weightsOf } from '../helpers/models.js';

const forest = randomForest(2, { segments: 6 });
const families = ['llama-tied', 'gpt2', 'gpt_neox'];

const assertSameScores = async (
  t: Parameters<typeof load>[0],
  a: LanguageModel,
  b: LanguageModel,
  what: string,
): Promise<void> => {
  const expected = await b.score(forest, { entropy: true });
  const scores = await a.score(forest, { entropy: true });
  assertBitEqual(t, scores.logProbs, expected.logProbs, what);
  assertBitEqual(t, scores.entropies, expected.entropies, what);
};

const step = async (model: LanguageModel): Promise<void> => {
  const pass = await model.forward(forest);
  await pass.backward({ logProbs: new Float32Array(pass.logProbs.length).fill(1) });
  await model.step({ learningRate: 1e-3 });
};

for (const family of families) {
  test(`${family}: a clone scores as the checkpoint loaded that way`, async (t) => {
    const precisions: readonly Dtype[] = ['f32', 'bf16'];
    for (const from of precisions) {
      const model = await load(t, golden(family), { dtype: from });
      for (const dtype of precisions) {
        const loaded = await load(t, golden(family), { dtype });
        for (const trainable of [true, false]) {
          const copy = owned(t, await model.clone({ dtype, trainable }));
          t.deepEqual([copy.dtype, copy.trainable], [dtype, trainable]);
          await assertSameScores(t, copy, loaded, `${from} to ${dtype}`);
        }
      }
    }
  });

  test(`${family}: training a model leaves its clone, and its clone's clone`, async (t) => {
    for (const dtype of ['f32', 'bf16'] as const) {
      const model = await load(t, golden(family), { dtype });
      await step(model);
      const weights = await weightsOf(model);
      const reference = owned(t, await model.clone({ trainable: false }));
      const twin = owned(t, await model.clone());
      await assertSameScores(t, reference, model, 'after a step');
      assertTensorsBitEqual(t, await weightsOf(twin), weights);
      await step(model);
      t.notDeepEqual(await model.score(forest), await twin.score(forest));
      await assertSameScores(t, reference, twin, 'of the moment');
      const trainable = owned(t, await reference.clone({ trainable: true }));
      await assertSameScores(t, trainable, twin, 'trainable again');
      // Neither gradients nor the optimiser's state are copied.
      t.deepEqual([model.steps, twin.steps, await twin.gradNorm()], [2, 0, 0]);
    }
  });
}

test('a scalar head is cloned, too', async (t) => {
  const model = await load(t, golden('qwen3'), { scalarHead: 2 });
  const copy = owned(t, await model.clone({ trainable: false }));
  const scalars = async (of: LanguageModel) =>
    (await of.score(forest, { scalarAt: 'last' })).scalars;
  assertBitEqual(t, await scalars(copy), await scalars(model), 'scalars');
});
