// Scalar heads (rewards, values): where they are read, and the same bits in any company.
import test from 'ava';
import { rewardModel } from '../helpers/reference-files.js';
import { assertBitEqual, worstTensor } from '../helpers/arrays.js';
import { asSequences, randomForest } from '../helpers/forests.js';
import { golden, load } from '../helpers/models.js';
import { gradientsFor } from '../helpers/perturbed.js';

const reward = rewardModel;
const forest = randomForest(6, { segments: 9, vocab: 68 });
const scored = asSequences(forest);
/** Packed index of the last token of each scored segment. */
const ends = ((): Int32Array => {
  let at = 0;
  return Int32Array.from(
    forest.flatMap((segment) => {
      at += segment.tokens.length;
      return segment.scored ? [at - 1] : [];
    }),
  );
})();

for (const dtype of ['f32', 'bf16'] as const) {
  test(`${dtype}: scalars of a forest are those of its paths, bit for bit`, async (t) => {
    for (const [folder, outputs] of [
      [reward, 1],
      [golden('gpt2'), 3],
    ] as const) {
      const options = outputs === 1 ? {} : { scalarHead: outputs };
      const model = await load(t, folder, { dtype, ...options });
      const { scalars } = await model.score(forest, { scalarAt: 'last' });
      t.is(scalars.length, outputs * scored.length);
      const explicit = await model.score(forest, { scalarAt: ends });
      assertBitEqual(t, explicit.scalars, scalars, 'last and explicit places');
      for (const [i, { tokens }] of scored.entries()) {
        const alone = await model.score([{ tokens }], { scalarAt: 'last' });
        const own = scalars.slice(i * outputs, (i + 1) * outputs);
        assertBitEqual(t, alone.scalars, own, `segment ${i}`);
      }
      using pass = await model.forward(forest, { scalarAt: 'last' });
      assertBitEqual(t, pass.scalars, scalars, 'forward');
    }
  });
}

test('scalars can be read where nothing is scored, in any order', async (t) => {
  const model = await load(t, reward);
  const silent = forest.map((segment) => ({ ...segment, scored: false }));
  const { scalars } = await model.score(forest, { scalarAt: ends });
  const backwards = await model.score(silent, { scalarAt: ends.toReversed() });
  t.is(backwards.logProbs.length, 0);
  assertBitEqual(t, backwards.scalars.toReversed(), scalars, 'reversed');
});

test('the gradient of a place that is read twice is the sum', async (t) => {
  const model = await load(t, reward);
  const at = ends[2]!;
  const gradients = (places: readonly number[], values: readonly number[]) =>
    gradientsFor(model, {
      batch: forest,
      options: { scalarAt: Int32Array.from(places) },
      coefficients: { scalars: Float32Array.from(values) },
    });
  const twice = await gradients([at, at], [0.25, 0.5]);
  const once = await gradients([at], [0.75]);
  // Two f32 terms where there is one: a few roundings, carried through the blocks.
  t.true(worstTensor(twice, once).error < 1e-5);
});
