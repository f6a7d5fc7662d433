// What the loop's result does not depend on: passes, micro-batches, evaluations, the clock.
import test, { type ExecutionContext } from 'ava';
import { objectiveEntry } from '../../src/objectives/index.js';
import { datasetSource } from '../../src/sources/dataset.js';
import type { Example } from '../../src/text/example.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import { train } from '../../src/training/train.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { type Tensors, weightBytes, weightsOf } from '../helpers/models.js';
import { runOf, someCompletions, somePairs, timeless, tiny } from './helpers.js';

// An epsilon far above the gradients makes AdamW's step proportional to them: a sign that rounding
// decides cannot grow to a whole step.
const linear = adamW({ learningRate: 100, epsilon: 100, maxGradNorm: 0 });

const objective = (name: string, options = {}) => objectiveEntry(name).make(options);

const distance = (a: Tensors, b: Tensors): number => {
  let sum = 0;
  for (const [name, values] of a) {
    values.forEach((x, i) => (sum += (x - b.get(name)![i]!) ** 2));
  }
  return Math.sqrt(sum);
};

interface Variant {
  readonly objective: string;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly examples: readonly Example[];
  readonly settings?: Partial<TrainOptions>;
}

/** Steps, and the weights before and after two of them. */
const trained = async (t: ExecutionContext, variant: Variant) => {
  const policy = await tiny(t);
  const before = await weightsOf(policy);
  const steps = await runOf({
    policy,
    source: datasetSource({ examples: variant.examples }),
    objective: objective(variant.objective, variant.options),
    optimizer: linear,
    schedule: { type: 'constant' },
    steps: 2,
    batchSize: 16,
    ...variant.settings,
  });
  return { steps: timeless(steps), before, after: await weightsOf(policy) };
};

const invariant: Readonly<Record<string, readonly [readonly Example[], Variant['options']?]>> = {
  sft: [someCompletions(16), { normalization: 'token' }],
  dpo: [somePairs(16)],
  ipo: [somePairs(16), { reduction: 'mean' }],
  orpo: [somePairs(16)],
  simpo: [somePairs(16), { cpoAlpha: 1 }],
  kto: [someCompletions(16)],
  aot: [somePairs(16)],
};

for (const [name, [examples, options = {}]] of Object.entries(invariant)) {
  test(`${name}: 1 x 16, 4 x 4 and 16 x 1 give one gradient and the same numbers`, async (t) => {
    const run = (maxTokensPerPass: number) =>
      trained(t, { objective: name, options, examples, settings: { maxTokensPerPass } });
    const whole = await run(10_000);
    const moved = distance(whole.before, whole.after);
    t.true(moved > 0);
    for (const budget of [90, 1]) {
      const cut = await run(budget);
      // f32 sums of gradients in another order; two steps.
      t.true(distance(whole.after, cut.after) < 2e-6 * moved, `budget ${budget}`);
      t.deepEqual(cut.steps[0]!.metrics, whole.steps[0]!.metrics);
      t.is(cut.steps[0]!.loss, whole.steps[0]!.loss);
      t.is(cut.steps[0]!.tokens, whole.steps[0]!.tokens);
    }
  });
}

test('a mean over pairs is the same for micro-batches, a mean over tokens is not', async (t) => {
  const gap = async (name: string, examples: readonly Example[]): Promise<number> => {
    const run = (settings: Partial<TrainOptions>) =>
      trained(t, { objective: name, examples, settings });
    const step = await run({ normalization: 'step' });
    const micro = await run({ normalization: { microBatch: 4 } });
    return distance(step.after, micro.after) / distance(step.before, step.after);
  };
  t.true((await gap('dpo', somePairs(16))) < 2e-6);
  t.true((await gap('sft', someCompletions(16, { length: 5 }))) < 2e-6);
  t.true((await gap('sft', someCompletions(16))) > 1e-3);
});

test('the loss of micro-batches is the mean of theirs', async (t) => {
  const examples = someCompletions(16);
  const settings = { optimizer: adamW({ learningRate: 0 }), steps: 1 };
  const run = (part: readonly Example[], own: Partial<TrainOptions>) =>
    trained(t, { objective: 'sft', examples: part, settings: { ...settings, ...own } });
  const { steps } = await run(examples, { normalization: { microBatch: 6 } });
  const parts = [examples.slice(0, 6), examples.slice(6, 12), examples.slice(12)];
  const losses = await Promise.all(
    parts.map(async (part) => (await run(part, { normalization: 'step' })).steps[0]!.loss),
  );
  const mean = losses.reduce((a, b) => a + b, 0) / 3;
  t.true(Math.abs(steps[0]!.loss - mean) < 1e-12);
});

test('recomputation changes no bit', async (t) => {
  const run = async (recompute: boolean) => {
    const policy = await tiny(t);
    await runOf({
      policy,
      source: datasetSource({ examples: somePairs(8) }),
      objective: objective('dpo'),
      optimizer: adamW({ learningRate: 1e-2 }),
      steps: 2,
      recompute,
    });
    return weightBytes(policy);
  };
  t.deepEqual(await run(false), await run(true));
});

test('two runs of one seed are bit-equal, with or without evaluations; other orders differ', async (t) => {
  const run = async (seed: number, evaluates: boolean) => {
    const policy = await tiny(t);
    const source = datasetSource({ examples: somePairs(24), order: 'shuffled', seed });
    const steps = await runOf({
      policy,
      source,
      objective: objective('ipo'),
      optimizer: adamW({ learningRate: 1e-2 }),
      steps: 5,
      batchSize: 6,
      rollouts: { miniBatches: 2 },
      logEntropy: true,
      ...(evaluates
        ? {
            evaluate: {
              every: 2,
              run: async ({ policy: model }) => {
                const [drawn] = await model.generate([[1, 2]], { maxNewTokens: 4, seed: 3 });
                return { length: drawn!.tokens.length };
              },
            },
          }
        : {}),
    });
    return { steps: timeless(steps), bytes: await weightBytes(policy) };
  };
  const one = await run(1, false);
  const again = await run(1, true);
  t.deepEqual(one.steps, again.steps);
  t.deepEqual(one.bytes, again.bytes);
  t.true(one.steps[0]!.metrics.entropy! > 0);
  t.notDeepEqual(one.bytes, (await run(2, false)).bytes);
});

test('the schedule decides each step, and its first step of a warm-up changes nothing', async (t) => {
  const policy = await tiny(t);
  const before = await weightBytes(policy);
  const rates: number[] = [];
  for await (const step of train({
    policy,
    source: datasetSource({ examples: somePairs(8) }),
    objective: objective('dpo'),
    optimizer: adamW({ learningRate: 0.5 }),
    schedule: { type: 'linear', warmupSteps: 2 },
    steps: 4,
  })) {
    rates.push(step.learningRate);
    if (step.index === 1) t.deepEqual(await weightBytes(policy), before);
    else t.notDeepEqual(await weightBytes(policy), before);
  }
  t.deepEqual(rates, [0, 0.25, 0.5, 0.25]);
});

test('a source that ends ends the run; a short last batch is trained on', async (t) => {
  const steps = await runOf({
    policy: await tiny(t),
    source: datasetSource({ examples: somePairs(10), epochs: 1 }),
    objective: objective('dpo'),
    optimizer: adamW({ learningRate: 1e-3 }),
    batchSize: 4,
  });
  t.deepEqual(
    steps.map(({ epoch }) => epoch),
    [0.4, 0.8, 1],
  );
});

test('options that cannot act are refused when train is called', async (t) => {
  const policy = await tiny(t);
  const frozen = await policy.clone({ trainable: false });
  const base: TrainOptions = {
    policy,
    source: datasetSource({ examples: somePairs(4) }),
    objective: objective('dpo'),
    optimizer: adamW({ learningRate: 1e-3 }),
    steps: 1,
  };
  const refused = async (changes: object, ...parts: string[]): Promise<void> => {
    const error = await caught(() => train({ ...base, ...changes }));
    assertError(t, error, 'OPTION_INVALID', ...parts);
  };
  await refused({ policy: frozen }, 'frozen');
  await refused({ reference: policy }, 'the policy itself');
  await refused({ objective: objective('simpo'), reference: frozen }, 'no use for a reference');
  await refused({ critic: { model: policy } }, 'no use for a critic');
  await refused({ objective: objective('ppo') }, 'needs a critic', 'scalarHead');
  await refused({ batchSize: 0 }, 'batchSize');
  await refused({ steps: 1.5 }, 'steps');
  await refused({ maxTokensPerPass: -1 }, 'maxTokensPerPass');
  await refused({ normalization: { microBatch: 0 } }, 'normalization');
  await refused({ rollouts: { epochs: 0 } }, 'rollouts.epochs');
  await refused({ referenceSync: { every: 2, alpha: 2 } }, 'referenceSync.alpha');
  await refused({ checkpoints: 2 }, 'recorder');
  await refused({ resume: true }, 'recorder');
  t.throws(() => adamW({ learningRate: -1 }), { message: /learningRate/ });
  const typo = { learningRate: 1, beta1: 0.9 };
  t.throws(() => adamW(typo), { message: /"beta1"/ });
});

test('examples that the objective cannot take are named', async (t) => {
  const policy = await tiny(t);
  const run = async (examples: readonly Example[], name: string) =>
    caught(() =>
      runOf({
        policy,
        source: datasetSource({ examples }),
        objective: objective(name),
        optimizer: adamW({ learningRate: 1e-3 }),
        steps: 1,
      }),
    );
  assertError(t, await run(someCompletions(4), 'dpo'), 'DATA_INVALID', 'completions:1', 'pair');
  const empty = somePairs(3);
  const [chosen] = empty[1]!.responses;
  empty[1] = { ...empty[1]!, responses: [chosen!, { tokens: new Int32Array(0) }] };
  assertError(t, await run(empty, 'dpo'), 'DATA_INVALID', 'pairs:2', 'number 2');
  assertError(t, await run(someCompletions(1), 'kto'), 'DATA_INVALID', 'two or more');
});
