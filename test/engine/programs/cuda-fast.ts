// exact: false on the device that ALIGNLAB_DEVICE names: near the exact model, without its promise, and
// training says how far sampler and scorer are apart. One line for each dtype.
import assert from 'node:assert/strict';
import { promptWithResponses } from '../../../src/engine/batch.js';
import { cudaInfo } from '../../../src/engine/device.js';
import { LanguageModel } from '../../../src/engine/model.js';
import { functionJudge } from '../../../src/judges/function-judge.js';
import { ipo } from '../../../src/objectives/public.js';
import { onPolicyPairs } from '../../../src/sources/on-policy-pairs.js';
import { adamW } from '../../../src/training/optimizer.js';
import { train } from '../../../src/training/train.js';
import { distance, gradientsOf } from '../../helpers/tensors.js';

const config = {
  ...{ model_type: 'llama', hidden_size: 24, num_attention_heads: 4, num_key_value_heads: 2 },
  ...{ num_hidden_layers: 2, intermediate_size: 22, vocab_size: 37 },
  ...{ max_position_embeddings: 128, initializer_range: 0.3 },
};
const prompts = [3, 4, 5].map((token) => ({ tokens: Int32Array.of(1, token), text: `${token}` }));
const judge = functionJudge({ name: 'small' }, ({ response }) => -Math.max(...response.tokens));

// f32: sums of some dozen terms in another order. bf16: values rounded to 2^-9 here and there.
const tolerances = { f32: 1e-4, bf16: 0.1 } as const;

/** The largest differences between sampler and scorer that training logged. */
const mismatches = async (policy: LanguageModel): Promise<number[]> => {
  const sampling = { maxNewTokens: 6, stopTokens: [] };
  const decode = (tokens: Int32Array): string => tokens.join(' ');
  const source = onPolicyPairs({ policy, prompts, judge, decode, sampling, ties: 'random' });
  const steps = train({
    ...{ policy, source, objective: ipo({ beta: 0.1 }), batchSize: 3, steps: 2 },
    optimizer: adamW({ learningRate: 1e-3 }),
  });
  const found: number[] = [];
  for await (const { metrics } of steps) {
    const [mean, max] = ['mean', 'max'].map(
      (each) => metrics[`sampling/sampling_logp_difference/${each}`] ?? NaN,
    );
    assert.ok(mean! >= 0 && mean! <= max!, 'mean and max');
    found.push(max!);
  }
  return found;
};

const isFaster = cudaInfo().devices[0]?.fast !== null;
for (const dtype of ['f32', 'bf16'] as const) {
  await using exact = await LanguageModel.create(config, { dtype, seed: 5 });
  await using fast = await LanguageModel.create(config, { dtype, seed: 5, exact: false });
  assert.deepEqual([exact.exact, fast.exact], [true, !isFaster]);
  await using copy = await fast.clone();
  assert.equal(copy.exact, fast.exact);
  const batch = promptWithResponses(prompts[0]!.tokens, [Int32Array.of(3, 9, 4, 1, 7)]);
  const [a, b] = [await exact.score(batch), await fast.score(batch)];
  const apart = a.logProbs.map((x, i) => Math.abs(x - b.logProbs[i]!));
  assert.ok(Math.max(...apart) <= tolerances[dtype], `${dtype}: ${apart.join(', ')}`);
  await assert.rejects(exact.kl(fast, batch), { code: 'OPTION_INVALID', message: /exact/ });

  assert.deepEqual(await mismatches(exact), [0, 0]);
  const found = await mismatches(fast);
  assert.ok(
    found.every((max) => max <= tolerances[dtype]),
    `${dtype}: ${found.join(', ')}`,
  );
  // What rounding to bf16 leaves of another order may be nothing in so small a model.
  assert.ok(!isFaster || dtype === 'bf16' || Math.max(...found) > 0, 'the fast device is exact');
  console.log(`${dtype}: largest mismatch ${found.join(', ')}`);
}

// Runs and heads that Hopper's attention takes, where the device has it; pages of the responses begin
// inside of blocks of positions. Both devices round P to 2^-9, of scores that differ in the last bits.
const ramp = (length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => 1 + ((7 * i) % 36));
for (const head_dim of [64, 128]) {
  const heads = { head_dim, num_attention_heads: 2, num_key_value_heads: 1 };
  const long = { ...config, ...heads, num_hidden_layers: 1, max_position_embeddings: 256 };
  const run = async (exact: boolean) => {
    await using model = await LanguageModel.create(long, { dtype: 'bf16', seed: 6, exact });
    const pass = await model.forward(promptWithResponses(ramp(140), [ramp(100), ramp(5)]));
    const logProbs = pass.logProbs.slice();
    await pass.backward({ logProbs: logProbs.map((_, j) => (j % 3) - 0.7) });
    return { logProbs, gradients: await gradientsOf(model) };
  };
  const [a, b] = [await run(true), await run(false)];
  const apart = Math.max(...a.logProbs.map((x, i) => Math.abs(x - b.logProbs[i]!)));
  const gradient = distance(b.gradients, a.gradients);
  assert.ok(apart <= 0.05 && gradient <= 0.05, `${head_dim}: ${apart}, ${gradient}`);
  console.log(`heads of ${head_dim}: log-probs ${apart}, gradients ${gradient} apart`);
}

const { bytesInUse = 0, peakBytes = 0 } = cudaInfo().devices[0] ?? {};
assert.ok(peakBytes > 0 && bytesInUse < peakBytes, `${bytesInUse} of ${peakBytes}`);
