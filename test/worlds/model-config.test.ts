// Models of a given size for a world's vocabulary.
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { createWorld, modelConfigOf } from '../../src/worlds/index.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { owned, weightsOf } from '../helpers/models.js';

test('sizes are near to what was asked for, and grow with it', (t) => {
  for (const vocabulary of [100, 400]) {
    const asked = [30_000, 100_000, 300_000, 1e6, 5e6, 30e6, 1e8, 1e9];
    const found = asked.map((parameters) => modelConfigOf({ vocabulary, parameters }).parameters);
    found.forEach((parameters, i) => {
      const ratio = parameters / asked[i]!;
      t.true(ratio > 0.6 && ratio < 1.6, `${asked[i]}: ${parameters}`);
      if (i > 0) t.true(parameters > found[i - 1]!);
    });
  }
});

test('a model of the config has that many parameters', async (t) => {
  const vocabulary = createWorld('chat').tokenizer().size;
  for (const parameters of [20_000, 150_000]) {
    const sized = modelConfigOf({ vocabulary, parameters, positions: 64 });
    const model = owned(t, await LanguageModel.create(sized.config, { seed: 1 }));
    t.is(model.shape.maxPosition, 64);
    t.is(model.shape.vocab, vocabulary);
    let count = 0;
    for (const values of (await weightsOf(model)).values()) count += values.length;
    t.is(count, sized.parameters);
  }
});

test('sizes that no model has are refused', async (t) => {
  for (const parameters of [1000, 1e12, 0, NaN]) {
    const error = await caught(() => modelConfigOf({ vocabulary: 200, parameters }));
    assertError(t, error, 'OPTION_INVALID', '200');
  }
  const error = await caught(() => modelConfigOf({ vocabulary: 0, parameters: 1e5 }));
  assertError(t, error, 'OPTION_INVALID', 'vocabulary');
});
