// Drawing from the geometric mixture of two models, and blending weights.
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { odd, weightsOf } from '../helpers/models.js';

const vocab = 17;
const prompts = [
  [3, 1, 4, 1, 5],
  [9, 2, 6],
];
const settings = { samples: 5, maxNewTokens: 12, seed: 7, stopTokens: [2] };

/** log p(. | context). */
const next = async (model: LanguageModel, context: readonly number[]): Promise<Float32Array> => {
  const children = Array.from({ length: vocab }, (_, token) => ({ tokens: [token], parent: 0 }));
  return (await model.score([{ tokens: context, scored: false }, ...children])).logProbs;
};

const mixed = (p: Float32Array, q: Float32Array, weight: number): number[] => {
  const logits = [...p].map((lp, v) => (1 - weight) * lp + weight * q[v]!);
  const lse = Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0));
  return logits.map((z) => z - lse);
};

test('tokens are drawn from the mixture, log-probs stay the model’s own', async (t) => {
  const [policy, other] = [await odd(t, 'llama', { seed: 1 }), await odd(t, 'gpt2', { seed: 2 })];
  const mixture = { model: other, weight: 0.3 };
  const drawn = await policy.generate(prompts, { ...settings, mixture, maxBatch: 3 });
  t.is(drawn.length, 10);
  for (const { prompt, tokens, logProbs, processedLogProbs } of drawn) {
    for (let i = 0; i < tokens.length; i += 1) {
      const context = [...prompts[prompt]!, ...tokens.subarray(0, i)];
      const p = await next(policy, context);
      const expected = mixed(p, await next(other, context), 0.3)[tokens[i]!]!;
      t.is(logProbs[i], p[tokens[i]!]);
      // Sums over 17 tokens in f32, and logits of size 10 that lose their last bits in the mix.
      t.true(Math.abs(processedLogProbs[i]! - expected) < 2e-5);
    }
  }
});

test('the mixture’s frequencies are its probabilities', async (t) => {
  const [policy, other] = [await odd(t, 'llama', { seed: 1 }), await odd(t, 'llama', { seed: 3 })];
  const mixture = { model: other, weight: 0.5 };
  const n = 4000;
  const drawn = await policy.generate([prompts[0]!], {
    samples: n,
    maxNewTokens: 1,
    stopTokens: [],
    seed: 11,
    mixture,
  });
  const counts = new Float64Array(vocab);
  for (const { tokens } of drawn) counts[tokens[0]!]! += 1;
  const expected = mixed(await next(policy, prompts[0]!), await next(other, prompts[0]!), 0.5);
  const chi2 = counts.reduce((sum, count, v) => {
    const mean = n * Math.exp(expected[v]!);
    return sum + (count - mean) ** 2 / mean;
  }, 0);
  // 16 degrees of freedom: above 39.3 once in a thousand seeds, and this seed is fixed.
  t.true(chi2 < 39.3, `chi-square ${chi2}`);
});

test('weight 0 is the model, weight 1 the other, whatever the batch', async (t) => {
  const [policy, other] = [await odd(t, 'llama', { seed: 1 }), await odd(t, 'llama', { seed: 3 })];
  const plain = await policy.generate(prompts, settings);
  const zero = await policy.generate(prompts, {
    ...settings,
    mixture: { model: other, weight: 0 },
  });
  t.deepEqual(
    zero.map(({ tokens }) => [...tokens]),
    plain.map(({ tokens }) => [...tokens]),
  );
  const others = await other.generate(prompts, settings);
  for (const maxBatch of [1, 4, 64]) {
    const mixture = { model: other, weight: 1 };
    const one = await policy.generate(prompts, { ...settings, maxBatch, mixture });
    t.deepEqual(
      one.map(({ tokens }) => [...tokens]),
      others.map(({ tokens }) => [...tokens]),
    );
  }
  // A model beside itself: both take their memory from one place.
  const mixture = { model: policy, weight: 0.4 };
  const self = await policy.generate(prompts, { ...settings, mixture });
  t.is(self.length, plain.length);
});

test('a mixture that cannot be is refused', async (t) => {
  const policy = await odd(t, 'llama');
  const config = { model_type: 'llama', vocab_size: 19, hidden_size: 8, num_hidden_layers: 1 };
  await using other = await LanguageModel.create({
    ...config,
    num_attention_heads: 2,
    intermediate_size: 8,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-6,
  });
  const refuse = async (model: unknown, weight: number, part: string): Promise<void> => {
    const mixture = { model: model as LanguageModel, weight };
    const error = await caught(() => policy.generate(prompts, { ...settings, mixture }));
    assertError(t, error, 'OPTION_INVALID', part);
  };
  await refuse(other, 0.5, '17 and 19 tokens');
  await refuse(policy, 1.5, 'between 0');
  await refuse(policy, NaN, 'between 0');
  await refuse({}, 0.5, 'another LanguageModel');
});

for (const dtype of ['f32', 'bf16'] as const) {
  test(`${dtype}: blending moves every weight along the line`, async (t) => {
    const model = await odd(t, 'llama', { seed: 1, dtype });
    const other = await odd(t, 'llama', { seed: 3, dtype });
    const [before, target] = [await weightsOf(model), await weightsOf(other)];
    await model.blend(other, 0.25);
    const after = await weightsOf(model);
    for (const [name, values] of after) {
      const [from, to] = [before.get(name)!, target.get(name)!];
      // Two products and a sum in f32; masters of bf16 weights are f32 as well.
      const worst = values.reduce(
        (most, w, i) => Math.max(most, Math.abs(w - (0.75 * from[i]! + 0.25 * to[i]!))),
        0,
      );
      t.true(worst < 3e-7, `${name}: ${worst}`);
    }
    t.true([...after].some(([name, w]) => w[0] !== before.get(name)![0]));
    await model.blend(other, 1);
    const equal = await weightsOf(model);
    for (const [name, values] of equal) t.deepEqual(values, target.get(name));
  });
}

test('blending with a model of another shape is refused', async (t) => {
  const model = await odd(t, 'llama');
  const other = await odd(t, 'gpt2');
  assertError(t, await caught(() => model.blend(other, 0.5)), 'OPTION_INVALID', 'one shape');
  assertError(t, await caught(() => model.blend(model, -1)), 'OPTION_INVALID', 'between 0 and 1');
});
