// On the device that ALIGNLAB_DEVICE names: one line for each family and dtype, when samples, scores
// and the training forward are the same bits and everything is near the CPU's values. Then one about
// memory that the device has not got.
import assert from 'node:assert/strict';
import { promptWithResponses } from '../../../src/engine/batch.js';
import { cudaInfo } from '../../../src/engine/device.js';
import { LanguageModel } from '../../../src/engine/model.js';
import { distance, gradientsOf, weightsOf } from '../../helpers/tensors.js';

// No size is a multiple of what kernels work in.
const decoder = {
  hidden_size: 24,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  intermediate_size: 22,
  vocab_size: 37,
  max_position_embeddings: 128,
  initializer_range: 0.3,
};
const families = {
  llama: { model_type: 'llama', ...decoder },
  qwen3: { model_type: 'qwen3', ...decoder, head_dim: 12, tie_word_embeddings: true },
  gpt2: {
    ...{ model_type: 'gpt2', n_embd: 24, n_head: 4, n_layer: 2, n_inner: 22 },
    ...{ n_positions: 128, vocab_size: 37, initializer_range: 0.3 },
  },
  gpt_neox: { model_type: 'gpt_neox', ...decoder, partial_rotary_factor: 0.5 },
} as const;

// f32: sums of some dozen terms in another order. bf16: on the device keys, values and
// probabilities of attention are rounded to 2^-9, on the CPU they are f32.
const tolerances = {
  f32: { logProb: 1e-5, gradient: 1e-4, weight: 1e-4 },
  bf16: { logProb: 0.05, gradient: 0.05, weight: 0.01 },
} as const;

const bits = (values: Float32Array): string => Buffer.from(values.slice().buffer).toString('hex');

const largest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i]!)), 0);

const prompts = [Int32Array.of(3, 9, 4), Int32Array.from({ length: 66 }, (_, i) => (i * 5) % 17)];

/** Samples, scores and differentiates; returns what the devices are compared by. */
const run = async (model: LanguageModel, responses: readonly (readonly Int32Array[])[]) => {
  const logProbs: Float32Array[] = [];
  for (const [i, prompt] of prompts.entries()) {
    const batch = promptWithResponses(prompt, responses[i]!);
    const scores = await model.score(batch, { entropy: true });
    const pass = await model.forward(batch);
    assert.equal(bits(pass.logProbs), bits(scores.logProbs), 'forward and score');
    logProbs.push(scores.logProbs.slice(), scores.entropies.slice());
    await pass.backward({ logProbs: scores.logProbs.map((_, j) => (j % 3) - 0.7) });
  }
  const gradients = await gradientsOf(model);
  await model.step({ learningRate: 1e-3 });
  return { logProbs, gradients, weights: await weightsOf(model) };
};

await assert.rejects(LanguageModel.create({ ...families.llama, head_dim: 258 }), {
  code: 'FAMILY_UNSUPPORTED',
});
for (const [family, config] of Object.entries(families)) {
  for (const dtype of ['f32', 'bf16'] as const) {
    await using device = await LanguageModel.create(config, { dtype, seed: 5 });
    await using cpu = await LanguageModel.create(config, { dtype, seed: 5, device: 'cpu' });
    assert.notEqual(device.device, 'cpu');
    await using before = await device.clone({ trainable: false });
    const options = { samples: 2, maxNewTokens: 4, stopTokens: [], seed: 7 };
    const drawn = await device.generate(prompts, options);
    const responses = prompts.map((_, i) =>
      drawn.filter(({ prompt }) => prompt === i).map(({ tokens }) => tokens),
    );
    for (const { prompt, tokens, logProbs } of drawn) {
      const alone = await device.score(promptWithResponses(prompts[prompt]!, [tokens]));
      assert.equal(bits(alone.logProbs), bits(logProbs), 'sampler and score');
    }
    const own = await run(device, responses);
    const other = await run(cpu, responses);
    const tolerance = tolerances[dtype];
    const off = {
      logProb: Math.max(...own.logProbs.map((values, i) => largest(values, other.logProbs[i]!))),
      gradient: distance(own.gradients, other.gradients),
      weight: distance(own.weights, other.weights),
    };
    for (const [name, value] of Object.entries(off)) {
      assert.ok(
        value <= tolerance[name as keyof typeof off],
        `${family} ${dtype} ${name} ${value}`,
      );
    }
    const pair = { samples: 1, maxNewTokens: 1, mixture: { model: cpu, weight: 0.5 } };
    await assert.rejects(device.generate(prompts, pair), { code: 'OPTION_INVALID' });
    await assert.rejects(device.kl(cpu, [{ tokens: prompts[0]! }]), { code: 'OPTION_INVALID' });
    await assert.rejects(device.blend(cpu, 0.5), { code: 'OPTION_INVALID' });
    const { kl } = await device.kl(before, promptWithResponses(prompts[0]!, responses[0]!));
    assert.ok(kl.every((value) => value > -1e-6) && kl.some((value) => value > 1e-6), 'kl');
    console.log(`${family} ${dtype}: ${JSON.stringify(off)}`);
  }
}

{
  const { totalBytes } = cudaInfo().devices[0]!;
  const width = 1024;
  const vocab_size = Math.ceil(totalBytes / (4 * width));
  const huge = { ...families.llama, hidden_size: width, vocab_size, intermediate_size: 64 };
  const message = /\d+ MiB more are needed/;
  await assert.rejects(LanguageModel.create(huge), { code: 'OUT_OF_MEMORY', message });
  await using model = await LanguageModel.create(families.llama);
  const { logProbs } = await model.score([{ tokens: prompts[0]! }]);
  assert.equal(logProbs.length, prompts[0]!.length - 1);
  console.log('out of memory: refused, and the engine goes on');
}
