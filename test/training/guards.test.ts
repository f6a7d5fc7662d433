// What stops a run before it goes wrong: step-0 invariants and values that are not finite.
import test from 'ava';
import type { LanguageModel } from '../../src/engine/model.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import type { Objective } from '../../src/objectives/objective.js';
import { datasetSource } from '../../src/sources/dataset.js';
import type { Example } from '../../src/text/example.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { odd, owned, weightBytes } from '../helpers/models.js';
import { runOf, someCompletions, somePairs, tiny } from './helpers.js';

const dpo = objectiveEntry('dpo').make();

const base = (
  policy: LanguageModel,
  examples: readonly Example[] = somePairs(8),
): TrainOptions => ({
  policy,
  source: datasetSource({ examples }),
  objective: dpo,
  optimizer: adamW({ learningRate: 1e-2 }),
  steps: 2,
});

const starts: Readonly<Record<string, number>> = {
  dpo: Math.log(2),
  ipo: 25, // (1 / (2 beta))^2 with beta 0.1
  hinge: 1,
  robust: Math.log(2),
  nca: 2 * Math.log(2),
  sppo: 50,
  'apo-zero': 1,
  'apo-down': 1,
  kto: 0.5,
};

for (const [name, expected] of Object.entries(starts)) {
  test(`${name} starts at ${expected.toFixed(4)}, with rewards of 0`, async (t) => {
    const examples = name === 'kto' ? someCompletions(8) : somePairs(8);
    const objective = objectiveEntry(name).make();
    const [first] = await runOf({ ...base(await tiny(t), examples), objective });
    t.true(Math.abs(first!.loss - expected) < 1e-12);
    t.is(first!.metrics['rewards/chosen'], 0);
    t.is(first!.metrics['rewards/rejected'], 0);
  });
}

test('in bf16 the copy of the policy agrees with it to the last bit as well', async (t) => {
  const policy = await odd(t, 'llama', { dtype: 'bf16' });
  const [first] = await runOf(base(policy));
  t.is(first!.metrics['rewards/chosen'], 0);
  t.is(first!.metrics['rewards/rejected'], 0);
});

test('a reference that is another model is found before the first step', async (t) => {
  const policy = await tiny(t);
  const other = await tiny(t, 2);
  const reference = owned(t, await other.clone({ trainable: false }));
  const before = await weightBytes(policy);
  const error = await caught(() => runOf({ ...base(policy), reference }));
  assertError(t, error, 'INVARIANT_BROKEN', 'pairs:1', 'startsFromReference: false');
  t.deepEqual(await weightBytes(policy), before);
  const steps = await runOf({ ...base(policy), reference, startsFromReference: false });
  t.is(steps.length, 2);
});

test('an objective whose loss cannot be right at the start is found', async (t) => {
  const wrong: Objective = {
    ...dpo,
    evaluate: (rows, totals) => {
      const evaluation = dpo.evaluate(rows, totals);
      return { ...evaluation, loss: 2 * evaluation.loss };
    },
  };
  const error = await caught(async () => runOf({ ...base(await tiny(t)), objective: wrong }));
  assertError(t, error, 'INVARIANT_BROKEN', 'loss of dpo', '0.69');
});

test("samples that are not the policy's own are found where they should be", async (t) => {
  const policy = await tiny(t);
  const [drawn] = await policy.generate([[1, 2]], { maxNewTokens: 5, seed: 1 });
  const sample = (shift: number): Example => ({
    kind: 'group',
    prompt: Int32Array.of(1, 2),
    origin: 'sample 1',
    responses: [0, 1].map((reward) => ({
      tokens: drawn!.tokens,
      behaviour: drawn!.logProbs.map((x) => x + shift),
      reward,
    })),
  });
  const objective = objectiveEntry('grpo').make({ beta: 0 });
  const run = (shift: number) =>
    runOf({ ...base(policy, [sample(shift)]), objective, steps: 1, startsOnPolicy: true });
  t.is((await run(0)).length, 1);
  assertError(t, await caught(() => run(0.01)), 'INVARIANT_BROKEN', 'sample 1', 'behaviour');
});

/** NaN for rows with a margin of 999. */
const poisoned: Objective = {
  ...dpo,
  evaluate: (rows, totals) => {
    const evaluation = dpo.evaluate(rows, totals);
    const gradients = evaluation.gradients.map((row, i) =>
      rows[i]!.margin === 999 ? row.map(() => ({ logProbs: Float32Array.of(NaN) })) : row,
    );
    return { ...evaluation, gradients };
  },
};

test('derivatives that are not finite stop the run, name the example and change nothing', async (t) => {
  const policy = await tiny(t);
  const examples = somePairs(8);
  examples[5] = { ...examples[5]!, margin: 999 };
  const before = await weightBytes(policy);
  for (const maxTokensPerPass of [10_000, 30]) {
    const options = { ...base(policy, examples), objective: poisoned, maxTokensPerPass };
    const error = await caught(() => runOf(options));
    assertError(t, error, 'NON_FINITE', /Examples: pairs:6\./);
    t.deepEqual(await weightBytes(policy), before);
    t.is(await policy.gradNorm(), 0);
  }
  t.is(policy.steps, 0);
  t.is((await runOf(base(policy))).length, 2);
});

test('a gradient that overflows stops the run and changes nothing', async (t) => {
  const policy = await tiny(t);
  const before = await weightBytes(policy);
  const huge: Objective = {
    ...dpo,
    evaluate: (rows, totals) => ({
      ...dpo.evaluate(rows, totals),
      gradients: rows.map(({ sequences }) =>
        sequences.map(({ logProbs }) => ({ logProbs: logProbs.map(() => 3e38) })),
      ),
    }),
  };
  const error = await caught(() => runOf({ ...base(policy), objective: huge }));
  assertError(t, error, 'NON_FINITE', 'pairs:1');
  t.deepEqual(await weightBytes(policy), before);
  t.is((await runOf(base(policy))).length, 2);
});

test('an objective that returns derivatives of another length is told so', async (t) => {
  const short: Objective = {
    ...dpo,
    evaluate: (rows, totals) => ({
      ...dpo.evaluate(rows, totals),
      gradients: rows.map(() => [{ logProbs: new Float32Array(99) }, {}]),
    }),
  };
  const error = await caught(async () => runOf({ ...base(await tiny(t)), objective: short }));
  assertError(t, error, 'INTERNAL', '99 derivatives');
});

test('the copy that serves as the reference is given back where a run cannot begin', async (t) => {
  const policy = await tiny(t);
  const copies: LanguageModel[] = [];
  const clone = policy.clone.bind(policy);
  policy.clone = async (options) => {
    const copy = await clone(options);
    copies.push(copy);
    return copy;
  };
  // A linear schedule has no end to go to: found after the copy was made.
  const endless = { ...base(policy), steps: Infinity, schedule: { type: 'linear' } as const };
  assertError(t, await caught(() => runOf(endless)), 'OPTION_INVALID', 'linear');
  t.deepEqual(
    copies.map(({ disposed }) => disposed),
    [true],
  );
});
