// Enumerable policies against enumeration: probabilities, gradients, samples, KL.
import test from 'ava';
import { promptWithResponses } from '../../src/engine/batch.js';
import {
  type EnumerablePolicy,
  ResponseSpace,
  exactKl,
  exactKlGradient,
  listResponses,
  logProbOf,
  tabularPolicy,
} from '../../src/policies/index.js';
import type { ErrorCode } from '../../src/errors.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import {
  kinds,
  largestDifference,
  numericalGradient,
  policyOver,
  spaces,
  tree,
} from './helpers.js';

const each = Object.entries(spaces).flatMap(([name, make]) =>
  kinds.map((kind) => ({ name: `${kind}, ${name}`, make, kind })),
);

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

for (const { name, make, kind } of each) {
  test(`${name}: responses have probabilities that add up to 1, token by token`, async (t) => {
    const policy = policyOver(make(), kind);
    for (const [prompt, tokens] of policy.space.prompts.entries()) {
      const all = listResponses(policy, prompt);
      t.is(all.length, policy.space.size);
      t.true(Math.abs(sum(all.map(({ logProb }) => Math.exp(logProb))) - 1) < 1e-12);
      const batch = promptWithResponses(
        tokens,
        all.map((each_) => each_.tokens),
      );
      const scores = await policy.score(batch);
      all.forEach(({ logProb }, i) => {
        // f32 log-probabilities, up to three of them.
        t.true(Math.abs(sum([...scores.logProbsOf(i + 1)]) - logProb) < 1e-5);
      });
    }
  });

  test(`${name}: the gradient of log-probabilities and entropies is the numerical one`, async (t) => {
    const policy = policyOver(make(), kind);
    const { space } = policy;
    const { prompts } = space;
    const all = space.responses();
    const batch = prompts.flatMap((prompt, p) => [
      { tokens: prompt, scored: false },
      ...all.map(({ tokens }) => ({ tokens, parent: p * (all.length + 1) })),
    ]);
    const pass = await policy.forward(batch, { entropy: true });
    // Weights that are f32 already.
    const weight = (i: number): number => Math.fround(Math.sin(i + 1));
    const count = pass.logProbs.length;
    const logProbs = Float32Array.from({ length: count }, (_, i) => weight(i));
    const entropies = Float32Array.from({ length: count }, (_, i) => weight(i + 100));
    await pass.backward({ logProbs, entropies });
    const value = (one: EnumerablePolicy): number => {
      let [at, total] = [0, 0];
      prompts.forEach((_, prompt) => {
        const logs = one.edgeLogProbs(prompt);
        for (const { edges } of all) {
          let state = 0;
          for (const edge of edges) {
            const own = logs.subarray(space.firstEdge[state], space.firstEdge[state + 1]);
            const entropy = -own.reduce((h, log) => h + Math.exp(log) * log, 0);
            total += weight(at) * logs[edge]! + weight(at + 100) * entropy;
            at += 1;
            state = space.next[edge]!;
          }
        }
      });
      return total;
    };
    t.true(largestDifference(policy.gradients, numericalGradient(policy, value)) < 1e-7);
  });

  test(`${name}: KL and its gradient are those of enumeration`, async (t) => {
    const space = make();
    const policy = policyOver(space, kind);
    const reference = policyOver(space, kind, { name: 'reference' });
    const enumerated = (one: EnumerablePolicy): number =>
      sum(
        space.prompts.map((_, prompt) =>
          sum(
            listResponses(one, prompt).map(
              ({ logProb, tokens }) =>
                Math.exp(logProb) * (logProb - logProbOf(reference, prompt, tokens)),
            ),
          ),
        ),
      ) / space.prompts.length;
    t.true(Math.abs(exactKl(policy, reference) - enumerated(policy)) < 1e-12);
    t.is(exactKl(policy, await policy.clone()), 0);
    const gradient = exactKlGradient(policy, reference);
    t.true(largestDifference(gradient, numericalGradient(policy, enumerated)) < 1e-8);
    // Along responses: the expectation of the sum of the exact KL of each token.
    let total = 0;
    for (const [prompt, tokens] of space.prompts.entries()) {
      const all = listResponses(policy, prompt);
      const batch = promptWithResponses(
        tokens,
        all.map((one) => one.tokens),
      );
      const { kl, offsets } = await policy.kl(reference, batch);
      all.forEach(({ logProb }, i) => {
        total += Math.exp(logProb) * sum([...kl.subarray(offsets[i + 1], offsets[i + 2])]);
      });
    }
    // f32 values.
    t.true(Math.abs(total / space.prompts.length - enumerated(policy)) < 1e-6);
  });
}

test('samples are drawn with their probabilities, each by its own seed', async (t) => {
  const policy = policyOver(tree(), 'tabular');
  const draws = 4000;
  const drawn = await policy.generate(policy.space.prompts, { samples: draws, seed: 3 });
  const counts = new Map<string, number>();
  for (const { tokens, logProbs, finishReason } of drawn) {
    counts.set(tokens.join(), (counts.get(tokens.join()) ?? 0) + 1);
    t.is(finishReason, 'stop');
    t.true(Math.abs(sum([...logProbs]) - logProbOf(policy, 0, tokens)) < 1e-5);
  }
  const chi = sum(
    listResponses(policy).map(({ tokens, logProb }) => {
      const expected = draws * Math.exp(logProb);
      return ((counts.get(tokens.join()) ?? 0) - expected) ** 2 / expected;
    }),
  );
  // Six degrees of freedom: 22.5 is exceeded once in a thousand seeds.
  t.true(chi < 22.5, `chi squared ${chi}`);
  const seeds = BigUint64Array.of(11n, 12n, 11n);
  const three = await policy.generate(policy.space.prompts, { samples: 3, seed: seeds });
  t.deepEqual(three[0]!.tokens, three[2]!.tokens);
  const again = await policy.generate(policy.space.prompts, { samples: draws, seed: 3 });
  t.deepEqual(again, drawn);
});

test('temperature changes what is drawn, not what is said of it', async (t) => {
  const policy = policyOver(tree(), 'tabular');
  const best = listResponses(policy).map(({ tokens }) => tokens);
  const greedy = await policy.generate(policy.space.prompts, { temperature: 0, samples: 5 });
  t.is(new Set(greedy.map(({ tokens }) => tokens.join())).size, 1);
  t.true(best.some((tokens) => tokens.join() === greedy[0]!.tokens.join()));
  t.deepEqual(
    [...greedy[0]!.processedLogProbs],
    [...greedy[0]!.tokens].map(() => 0),
  );
  const [hot] = await policy.generate(policy.space.prompts, { temperature: 2, seed: 1 });
  const own = logProbOf(policy, 0, hot!.tokens);
  t.true(Math.abs(sum([...hot!.logProbs]) - own) < 1e-5);
  t.true(Math.abs(sum([...hot!.processedLogProbs]) - own) > 1e-3);
  const [cut] = await policy.generate([[0]], { maxNewTokens: 1, seed: 2 });
  t.is(cut!.tokens.length, 1);
});

test('what has no meaning for such policies is refused', async (t) => {
  const policy = policyOver(tree(), 'tabular');
  const refused = async (work: () => unknown, code: ErrorCode, text: string): Promise<void> => {
    assertError(t, await caught(work), code, text);
  };
  const prompt = [0];
  await refused(() => policy.generate([prompt], { topK: 2 }), 'OPTION_INVALID', 'topK');
  await refused(() => policy.generate([prompt], { stopTokens: [1] }), 'OPTION_INVALID', 'end of');
  await refused(() => policy.generate([[9]]), 'DATA_INVALID', 'prompts');
  await refused(() => policy.score([{ tokens: prompt }]), 'BATCH_INVALID', 'scored');
  await refused(
    () => policy.score(promptWithResponses(prompt, [[7]])),
    'DATA_INVALID',
    'goes on with the token 7',
  );
  await refused(
    () => policy.score(promptWithResponses(prompt, [[0, 0]])),
    'DATA_INVALID',
    'after the end',
  );
  await refused(
    () => policy.kl(policyOver(tree(), 'tabular'), promptWithResponses(prompt, [[0]])),
    'OPTION_INVALID',
    'same ResponseSpace',
  );
  await refused(() => policy.step({ learningRate: 1 }), 'OPTION_INVALID', 'no gradients');
  await refused(() => ResponseSpace.of([[1], [1, 2]]), 'OPTION_INVALID', 'beginning');
  await refused(() => ResponseSpace.of([[1, 2], [1]]), 'OPTION_INVALID', 'beginning');
  await refused(() => ResponseSpace.of([[1], [1]]), 'OPTION_INVALID', 'twice');
  await refused(() => ResponseSpace.of([]), 'OPTION_INVALID', 'no responses');
  await refused(
    () => tabularPolicy({ space: tree(), logits: () => -Infinity }),
    'OPTION_INVALID',
    'finite',
  );
  const many = ResponseSpace.product(Array.from({ length: 40 }, () => [0, 1]));
  t.is(many.size, 2 ** 40);
  await refused(() => many.responses(), 'OPTION_INVALID', 'more than');
});

test('AdamW moves as torch does', async (t) => {
  const policy = tabularPolicy({ space: ResponseSpace.of([[0], [1], [2]]) });
  const options = { learningRate: 0.1, weightDecay: 0.01, maxGradNorm: 1 };
  // Coefficients that add up to 0 are the gradient by the logits themselves.
  for (const gradient of [
    [1, -1.5, 0.5],
    [0.5, 0.5, -1],
  ]) {
    const pass = await policy.forward(promptWithResponses([0], [[0], [1], [2]]));
    await pass.backward({ logProbs: Float32Array.from(gradient) });
    const { gradNorm } = await policy.step(options);
    t.true(Math.abs(gradNorm - Math.hypot(...gradient)) < 1e-12);
  }
  // torch.optim.AdamW from zeros, lr 0.1, weight decay 0.01, clip_grad_norm_ 1, in double.
  const expected = [-0.19832266964347725, 0.12582687276793725, -0.050010287824399584];
  t.true(largestDifference(policy.parameters, expected) < 1e-12);
  t.is(policy.steps, 2);
});
