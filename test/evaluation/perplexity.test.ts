// Perplexity: of a uniform model, and against the naive loop.
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { perplexity } from '../../src/evaluation/perplexity.js';
import type { Example } from '../../src/text/example.js';
import { assertError, caught, smallConfig } from '../checkpoint/helpers.js';
import { owned } from '../helpers/models.js';
import { nextLogProbs, somePrompts, tinyModel, vocabulary } from './helpers.js';

const examples: Example[] = somePrompts(5).map(({ tokens }, i) => ({
  kind: 'completion',
  prompt: tokens,
  responses: [{ tokens: Int32Array.from({ length: i + 1 }, (_, j) => (3 * i + 5 * j) % 17) }],
  origin: `row ${i}`,
}));

test('a model that tells nothing has the perplexity of its vocabulary', async (t) => {
  // Weights this small leave logits that differ by less than 1e-20.
  const config = smallConfig('gpt2', { initializer_range: 1e-20, n_positions: 64 });
  const model = owned(t, await LanguageModel.create(config));
  const found = await perplexity(model, examples);
  // f32 log-probabilities: -log 17 to 1e-7.
  t.true(Math.abs(found.perplexity - vocabulary) < 1e-4, `${found.perplexity}`);
  t.true(Math.abs(found.nllPerToken - Math.log(vocabulary)) < 1e-6);
  t.like(found, { tokens: 15, responses: 5 });
  t.true(Math.abs(found.nllPerResponse - 3 * Math.log(vocabulary)) < 1e-5);
});

test('it is exp of the mean over tokens, not over rows', async (t) => {
  const model = await tinyModel(t, 3);
  let nll = 0;
  for (const { prompt, responses } of examples) {
    const context = [...prompt];
    for (const token of responses[0]!.tokens) {
      nll -= (await nextLogProbs(model, context))[token]!;
      context.push(token);
    }
  }
  const found = await perplexity(model, examples, { maxTokens: 7, seed: 1 });
  t.true(Math.abs(found.perplexity / Math.exp(nll / 15) - 1) < 1e-5); // f32 log-probabilities
  t.true(found.interval[0] < found.perplexity && found.perplexity < found.interval[1]);
  // However the passes are cut.
  t.deepEqual(await perplexity(model, examples, { seed: 1 }), found);
});

test('of pairs, the responses that are asked for', async (t) => {
  const model = await tinyModel(t, 3);
  const pair = (a: Example, b: Example): Example => ({
    ...a,
    kind: 'pair',
    responses: [...a.responses, ...b.responses],
  });
  const pairs = [pair(examples[1]!, examples[2]!), pair(examples[3]!, examples[4]!)];
  const only = (which: number) =>
    pairs.map((p): Example => ({ ...p, kind: 'completion', responses: [p.responses[which]!] }));
  t.deepEqual(await perplexity(model, pairs), await perplexity(model, only(0)));
  const rejected = await perplexity(model, pairs, { of: 'rejected' });
  t.deepEqual(rejected, await perplexity(model, only(1)));
  t.is((await perplexity(model, pairs, { of: 'both' })).tokens, 14);
  const error = await caught(() => perplexity(model, pairs, { of: 'best' as never }));
  assertError(t, error, 'OPTION_INVALID', 'best');
  assertError(t, await caught(() => perplexity(model, [])), 'OPTION_INVALID', 'no response');
});
