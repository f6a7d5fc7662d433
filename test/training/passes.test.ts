// Where examples lie in passes, and that results belong to the tokens that they are said to be of.
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { datasetSource } from '../../src/sources/dataset.js';
import type { Example } from '../../src/text/example.js';
import { totalsOf } from '../../src/training/normalization.js';
import { adamW } from '../../src/training/optimizer.js';
import { planPasses, scoredTokens } from '../../src/training/passes.js';
import { scorePlaces, valuePlaces } from '../../src/training/rows.js';
import { smallConfig } from '../checkpoint/helpers.js';
import { owned } from '../helpers/models.js';
import { runOf, someCompletions, somePairs } from './helpers.js';

const example = (kind: Example['kind'], prompt: number, ...responses: number[]): Example => ({
  kind,
  prompt: new Int32Array(prompt),
  responses: responses.map((length) => ({ tokens: new Int32Array(length) })),
  origin: `${kind} of ${prompt}`,
});

test('prompts are shared, kinds lie apart, and a pass holds what its budget allows', (t) => {
  const examples = [
    example('group', 2, 1, 1, 1),
    example('pair', 3, 2, 4),
    example('pair', 1, 1, 1),
    example('pair', 9, 9, 9),
  ];
  const passes = planPasses(examples, { maxTokens: 12 });
  t.deepEqual(
    passes.map(({ places, tokens }) => [tokens, places.map((place) => place.example)]),
    [
      [12, [1, 2]],
      [27, [3]],
      [5, [0]],
    ],
  );
  t.deepEqual(
    passes[0]!.batch.map(({ tokens, parent, scored }) => [tokens.length, parent, scored]),
    [
      [3, undefined, false],
      [2, 0, undefined],
      [4, 0, undefined],
      [1, undefined, false],
      [1, 3, undefined],
      [1, 3, undefined],
    ],
  );
  t.deepEqual(passes[0]!.places[1], { example: 2, prompt: 3, responses: [4, 5] });
  const [scored] = planPasses(examples.slice(1, 2), { maxTokens: 99, scorePrompts: true });
  t.true(scored!.batch[0]!.scored);
});

test('values stand before their tokens, scores at the last ones', (t) => {
  const [pass] = planPasses([example('group', 3, 2, 1, 4), example('group', 2, 2)], {
    maxTokens: 99,
  });
  // Packed: prompt 0-2, responses 3-4, 5, 6-9; prompt 10-11, response 12-13.
  t.deepEqual([...valuePlaces(pass!)], [2, 3, 2, 2, 6, 7, 8, 11, 12]);
  t.deepEqual([...scorePlaces(pass!)], [4, 5, 9, 13]);
});

test('totals count what has a log-probability', (t) => {
  const examples = [
    example('pair', 3, 2, 4),
    example('pair', 1, 1, 5),
    example('completion', 0, 4),
    example('group', 2, 3, 3, 1),
  ];
  t.is(scoredTokens(examples[2]!, 0), 3);
  t.deepEqual(totalsOf(examples), {
    pairs: 2,
    completions: 1,
    groups: 1,
    samples: 3,
    chosenTokens: 3,
    rejectedTokens: 9,
    completionTokens: 3,
    sampleTokens: 7,
    promptTokens: 3,
  });
});

const uniform = async (t: Parameters<typeof owned>[0]): Promise<LanguageModel> => {
  const config = { ...smallConfig('llama'), max_position_embeddings: 128, initializer_range: 0 };
  return owned(t, await LanguageModel.create(config, { dtype: 'f32' }));
};

const firstStep = async (policy: LanguageModel, name: string, examples: readonly Example[]) => {
  const [step] = await runOf({
    policy,
    source: datasetSource({ examples }),
    objective: objectiveEntry(name).make(),
    optimizer: adamW({ learningRate: 0 }),
    batchSize: examples.length,
    steps: 1,
  });
  return step!;
};

test('a uniform model gives each response token -log V, and prompts nothing', async (t) => {
  const policy = await uniform(t);
  const pairs = somePairs(6);
  const mean = (side: number): number =>
    pairs.reduce((sum, { responses }) => sum + responses[side]!.tokens.length, 0) / pairs.length;
  const { metrics } = await firstStep(policy, 'dpo', pairs);
  // f32 log-probabilities of a vocabulary of 17.
  t.true(Math.abs(metrics['logps/chosen']! / mean(0) + Math.log(17)) < 1e-6);
  t.true(Math.abs(metrics['logps/rejected']! / mean(1) + Math.log(17)) < 1e-6);
  const { loss } = await firstStep(policy, 'sft', someCompletions(6));
  t.true(Math.abs(loss - Math.log(17)) < 1e-6);
});

test('a model that ignores its context does not see which prompt it has', async (t) => {
  const policy = await uniform(t);
  const pairs = somePairs(6);
  const others = pairs.map((pair) => ({ ...pair, prompt: pair.prompt.map((id) => 16 - id) }));
  const [one, two] = [
    await firstStep(policy, 'dpo', pairs),
    await firstStep(policy, 'dpo', others),
  ];
  t.deepEqual(one.metrics, two.metrics);
});

test('an example without a prompt is trained on, less its first token', async (t) => {
  const policy = await uniform(t);
  const bare = someCompletions(4, { length: 5 }).map((completion) => ({
    ...completion,
    prompt: new Int32Array(0),
  }));
  const { loss, tokens } = await firstStep(policy, 'sft', bare);
  t.true(Math.abs(loss - Math.log(17)) < 1e-6);
  t.is(tokens, 20);
});
