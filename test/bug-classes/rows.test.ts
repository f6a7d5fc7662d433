// What the loop says of a row is what the row is by itself: right tokens (1, 2), no padding (3), no
// company (9, 32), no micro-batches (16), and KTO's mismatched responses (27).
import test, { type ExecutionContext } from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import type { Objective, Row } from '../../src/objectives/objective.js';
import { datasetSource } from '../../src/sources/dataset.js';
import type { Example } from '../../src/text/example.js';
import { mismatchedOf } from '../../src/training/accumulate.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import { randomNumbers, smallConfig } from '../checkpoint/helpers.js';
import { assertBitEqual } from '../helpers/arrays.js';
import { owned, weightsOf } from '../helpers/models.js';
import { runOf, someCompletions, somePairs, timeless, tiny } from '../training/helpers.js';

const still = adamW({ learningRate: 0 });

/** The objective, and the rows that it was shown. */
const watched = (objective: Objective): { objective: Objective; seen: Row[] } => {
  const seen: Row[] = [];
  const evaluate: Objective['evaluate'] = (rows, totals) => {
    const copy = rows.map((row) => ({
      ...row,
      sequences: row.sequences.map((one) => ({ ...one, logProbs: one.logProbs.slice() })),
    }));
    seen.push(...copy);
    return objective.evaluate(rows, totals);
  };
  return { objective: { ...objective, evaluate }, seen };
};

test('a row in a batch has the log-probabilities of its own tokens, alone, bit for bit', async (t) => {
  const policy = await tiny(t);
  const examples = somePairs(9);
  const tokens = examples.reduce(
    (sum, { prompt, responses }) =>
      responses.reduce((n, response) => n + response.tokens.length, sum + prompt.length),
    0,
  );
  for (const maxTokensPerPass of [10_000, 60, 1]) {
    const { objective, seen } = watched(objectiveEntry('dpo').make());
    const [step] = await runOf({
      policy,
      source: datasetSource({ examples }),
      objective,
      optimizer: still,
      batchSize: examples.length,
      maxTokensPerPass,
      steps: 1,
    });
    t.is(step!.tokens, tokens, 'no token is added or left out');
    for (const [i, { prompt, responses }] of examples.entries()) {
      for (const [r, response] of responses.entries()) {
        const path = [...prompt, ...response.tokens];
        const { logProbs } = await policy.score([{ tokens: path }]);
        // Results of a text are of its tokens from the second on.
        const own = logProbs.slice(prompt.length - 1);
        const what = `pair ${i}, response ${r}, passes of ${maxTokensPerPass}`;
        assertBitEqual(t, seen[i]!.sequences[r]!.logProbs, own, what);
      }
    }
  }
});

test('a neighbour changes nothing of a row, its own prompt does', async (t) => {
  const model = await tiny(t);
  const forest = [
    { tokens: [1, 2, 3], scored: false },
    { tokens: [4, 5, 6], parent: 0 },
    { tokens: [7, 8, 9], parent: 0 },
    { tokens: [10, 11, 12, 13] },
  ];
  const ownOf = async (segment: number, tokens: readonly number[]): Promise<Float32Array> => {
    const changed = forest.map((one, i) => (i === segment ? { ...one, tokens } : one));
    return (await model.score(changed)).logProbsOf(1).slice();
  };
  const own = await ownOf(0, [1, 2, 3]);
  assertBitEqual(t, await ownOf(2, [16, 15, 14, 13]), own, 'the other response');
  assertBitEqual(t, await ownOf(3, [3, 2]), own, 'another text');
  const moved = await ownOf(0, [2, 2, 3]);
  own.forEach((x, i) => {
    t.not(moved[i], x, `the prompt's first token is seen by token ${i}`);
  });
});

const draw = randomNumbers(17);
const prompts = [1, 2, 3, 4, 1, 2].map((length) =>
  Int32Array.from({ length }, () => Math.floor(draw() * 17)),
);

/** Groups of three samples of one model, with rewards; one could not be judged. */
const sampledGroups = async (policy: LanguageModel): Promise<Example[]> => {
  const drawn = await policy.generate(prompts, {
    samples: 3,
    maxNewTokens: 9,
    stopTokens: [2],
    seed: 8,
  });
  return prompts.map((prompt, p): Example => ({
    kind: 'group',
    prompt,
    responses: drawn
      .filter((generation) => generation.prompt === p)
      .map(({ tokens, logProbs, finishReason }, i) => ({
        tokens,
        behaviour: logProbs,
        reward: p === 1 && i === 0 ? null : tokens.length + Math.sin(p + i),
        truncated: finishReason === 'length',
      })),
    origin: `group ${p}`,
  }));
};

const criticFor = async (t: ExecutionContext): Promise<LanguageModel> => {
  const config = {
    ...smallConfig('llama'),
    architectures: ['LlamaForSequenceClassification'],
    num_labels: 1,
    max_position_embeddings: 128,
  };
  return owned(t, await LanguageModel.create(config, { seed: 3 }));
};

// An epsilon far above the gradients makes AdamW's step proportional to them: what is compared is
// the gradient, not its sign.
const linear = adamW({ learningRate: 100, epsilon: 100, maxGradNorm: 0 });

for (const name of ['reinforce', 'rloo', 'grpo', 'ppo', 'nash-md']) {
  test(`${name}: how samples are cut into passes changes neither gradient nor numbers`, async (t) => {
    const run = async (maxTokensPerPass: number) => {
      const policy = await tiny(t);
      const examples = await sampledGroups(policy);
      const preferences = examples.map((example) => ({
        ...example,
        responses: example.responses.map((one, i) => ({ ...one, reward: 0.2 + 0.3 * i })),
      }));
      const before = await weightsOf(policy);
      const options: TrainOptions = {
        policy,
        source: datasetSource({ examples: name === 'nash-md' ? preferences : examples }),
        objective: objectiveEntry(name).make(),
        optimizer: linear,
        schedule: { type: 'constant' },
        batchSize: 6,
        steps: 2,
        maxTokensPerPass,
      };
      const critic = name === 'ppo' ? { critic: { model: await criticFor(t) } } : {};
      const steps = timeless(await runOf({ ...options, ...critic }));
      return { steps, before, after: await weightsOf(policy) };
    };
    const whole = await run(10_000);
    const distance = (other: typeof whole): number => {
      let sum = 0;
      for (const [tensor, values] of whole.after) {
        values.forEach((x, i) => (sum += (x - other.after.get(tensor)![i]!) ** 2));
      }
      return Math.sqrt(sum);
    };
    const moved = distance({ ...whole, after: whole.before });
    t.true(moved > 0);
    for (const budget of [80, 1]) {
      const cut = await run(budget);
      // Two steps of f32 gradients, their terms added in another order.
      t.true(distance(cut) < 1e-5 * moved, `budget ${budget}: ${distance(cut) / moved}`);
      t.deepEqual(cut.steps[0]!.metrics, {
        ...whole.steps[0]!.metrics,
        // The only metric that is a norm of summed gradients.
        ...(name === 'ppo'
          ? { 'critic/grad_norm': cut.steps[0]!.metrics['critic/grad_norm']! }
          : {}),
      });
      t.is(cut.steps[0]!.loss, whole.steps[0]!.loss);
    }
  });
}

test('kto: each prompt gets the response of another row, each response one prompt', async (t) => {
  const policy = await tiny(t);
  const objective = objectiveEntry('kto').make();
  for (let n = 2; n <= 9; ++n) {
    const same = Int32Array.of(3, 1, 4);
    for (const alike of [false, true]) {
      const examples = someCompletions(n, { length: 4 }).map((example, i) => ({
        ...example,
        prompt: alike ? same : example.prompt,
        // Its first token says which row a response is of.
        responses: [{ tokens: Int32Array.of(i, 9, 9, 2) }],
      }));
      let scored: readonly Example[] = [];
      const reference = {
        describe: () => ({ kind: 'watched' }),
        logProbs: (asked: readonly Example[]) => {
          scored = asked;
          return Promise.resolve(asked.map(() => [new Float32Array(4)]));
        },
      };
      const learner = {
        policy,
        objective,
        reference,
        critic: null,
        maxTokens: 100,
        maxLength: 100,
        recompute: false,
        entropy: false,
      };
      const found = await mismatchedOf(learner, examples);
      t.is(found.length, n);
      const rows = scored.map(({ responses }) => responses[0]!.tokens[0]!);
      t.deepEqual(
        rows.toSorted((a, b) => a - b),
        [...examples.keys()],
      );
      rows.forEach((row, i) => {
        t.not(row, i, `${n} rows`);
        t.deepEqual(scored[i]!.prompt, examples[i]!.prompt);
      });
    }
  }
});
