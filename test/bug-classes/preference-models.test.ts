// Reward and preference models, trained by the loop, read the position that they are trained at (29).
import test, { type ExecutionContext } from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { askScores, askVerdicts } from '../../src/judges/checked.js';
import type { CompareRequest, JudgedResponse } from '../../src/judges/judge.js';
import { preferenceModelJudge } from '../../src/judges/preference-model.js';
import { rewardModelJudge } from '../../src/judges/reward-model.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { datasetPairs } from '../../src/sources/dataset.js';
import type { Example } from '../../src/text/example.js';
import { adamW } from '../../src/training/optimizer.js';
import { randomNumbers, smallConfig } from '../checkpoint/helpers.js';
import { owned } from '../helpers/models.js';
import { runOf } from '../training/helpers.js';

const scalarModel = async (t: ExecutionContext): Promise<LanguageModel> => {
  const config = {
    ...smallConfig('llama'),
    architectures: ['LlamaForSequenceClassification'],
    num_labels: 1,
    max_position_embeddings: 128,
    initializer_range: 0.3,
  };
  return owned(t, await LanguageModel.create(config, { seed: 3 }));
};

const wanted = 7;

/** Up to five tokens, of which the last one is the wanted one or never it. */
const responses = (seed: number) => {
  const draw = randomNumbers(seed);
  const below = (n: number): number => Math.floor(draw() * n);
  return (isWanted: boolean): Int32Array => {
    // The wanted token stands elsewhere in either.
    const tokens = Array.from({ length: 1 + below(4) }, () =>
      below(3) === 0 ? wanted : below(13),
    );
    const last = isWanted ? wanted : (wanted + 1 + below(12)) % 13;
    return Int32Array.of(...tokens, last);
  };
};

const judged = (tokens: Int32Array): JudgedResponse => ({
  text: [...tokens].join(' '),
  tokens,
  truncated: false,
});

const learn = (policy: LanguageModel, name: string, examples: readonly Example[]) =>
  runOf({
    policy,
    source: datasetPairs({ examples, order: 'shuffled' }),
    objective: objectiveEntry(name).make(),
    optimizer: adamW({ learningRate: 1e-2 }),
    batchSize: 16,
    steps: 150,
  });

const prompt = Int32Array.of(14, 1);

test('a reward model that is trained on the token at the end tells all new responses', async (t) => {
  const model = await scalarModel(t);
  const make = responses(1);
  await learn(
    model,
    'reward',
    Array.from({ length: 400 }, (_, i) => ({
      kind: 'pair',
      prompt,
      responses: [{ tokens: make(true) }, { tokens: make(false) }],
      origin: `pair ${i}`,
    })),
  );
  const judge = rewardModelJudge({ model, name: 'reward' });
  const fresh = responses(2);
  const request = (tokens: Int32Array) => ({
    prompt: '',
    promptTokens: prompt,
    response: judged(tokens),
  });
  const pairs = Array.from({ length: 100 }, () => [request(fresh(true)), request(fresh(false))]);
  const scores = await askScores(judge, pairs.flat());
  t.is(pairs.filter((_, i) => scores[2 * i]! > scores[2 * i + 1]!).length, 100);
});

/** Both responses in one text, as a ComparisonEncoder writes them. */
const encoder = {
  compare: (_: unknown, first: string, second: string) => {
    const ids = (text: string): number[] => text.split(' ').map(Number);
    const order = (a: string, b: string) => Int32Array.from([...ids(a), 15, ...ids(b), 16]);
    const orders = [order(first, second), order(second, first)] as const;
    return { head: prompt, orders, truncated: false };
  },
};

test('a pairwise model that is trained on it has no say for a place', async (t) => {
  const model = await scalarModel(t);
  const make = responses(3);
  await learn(
    model,
    'preference',
    Array.from({ length: 400 }, (_, i): Example => {
      const [a, b] = [judged(make(true)).text, judged(make(false)).text];
      const { head, orders } = encoder.compare('', a, b);
      const origin = `pair ${i}`;
      return {
        kind: 'pair',
        prompt: head,
        responses: orders.map((tokens) => ({ tokens })),
        origin,
      };
    }),
  );
  const fresh = responses(4);
  const there = Array.from({ length: 100 }, (): CompareRequest => {
    const [first, second] = [judged(fresh(true)), judged(fresh(false))];
    return { prompt: '', promptTokens: prompt, first, second };
  });
  const back = there.map((each) => ({ ...each, first: each.second, second: each.first }));
  const judge = preferenceModelJudge({ model, encoder, hard: false, name: 'pairs' });
  const [one, other] = [await askVerdicts(judge, there), await askVerdicts(judge, back)];
  one.forEach(({ preference }, i) => {
    // Two roundings of f64.
    t.true(Math.abs(preference! + other[i]!.preference! - 1) < 1e-15);
  });
  const right = one.filter(({ preference }) => preference! > 0.5).length;
  t.true(right >= 95, `${right} of 100`);
});
