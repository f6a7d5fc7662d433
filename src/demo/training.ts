// The demo's model and its training: forward, gradient, AdamW, step by step.
import type { JsonObject } from '../checkpoint/json.js';
import type { Batch } from '../engine/batch.js';
import type { LanguageModel } from '../engine/model.js';

export const modelConfig = (vocab: number): JsonObject => ({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: vocab,
  hidden_size: 192,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  head_dim: 32,
  intermediate_size: 512,
  hidden_act: 'silu',
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
  initializer_range: 0.02,
  bos_token_id: 0,
  eos_token_id: 0,
});

interface TrainingOptions {
  readonly steps: number;
  readonly signal?: AbortSignal;
}

export interface TrainingStep {
  readonly step: number;
  /** Mean negative log-probability of a token of this batch, in nats. */
  readonly loss: number;
  /** Tokens that were trained on since the start. */
  readonly tokens: number;
}

const peakLearningRate = 2e-3;

/** Linear warm-up, then half a cosine down to a tenth. */
const learningRate = (step: number, steps: number): number => {
  const warmUp = Math.min(20, Math.ceil(steps / 5));
  if (step < warmUp) return (peakLearningRate * (step + 1)) / warmUp;
  const progress = (step - warmUp) / Math.max(1, steps - warmUp);
  return peakLearningRate * (0.1 + 0.45 * (1 + Math.cos(Math.PI * progress)));
};

const meanLoss = (logProbs: Float32Array): number =>
  -logProbs.reduce((sum, x) => sum + x, 0) / logProbs.length;

/** Mean loss over a batch, without training. */
export const lossOf = async (
  model: LanguageModel,
  batch: Batch,
  signal?: AbortSignal,
): Promise<number> => {
  const { logProbs } = await model.score(batch, signal ? { signal } : {});
  return meanLoss(logProbs);
};

/** Trains in place, a step for each value that is taken. */
export async function* train(
  model: LanguageModel,
  batches: Iterator<Batch, unknown>,
  { steps, signal }: TrainingOptions,
): AsyncGenerator<TrainingStep, void> {
  const options = signal ? { signal } : {};
  let tokens = 0;
  for (let step = 0; step < steps; step += 1) {
    const { value: batch, done } = batches.next();
    if (done) return;
    using pass = await model.forward(batch, options);
    const { logProbs } = pass;
    // The loss is the mean of -logProbs, so its derivative by each of them is -1 / n.
    await pass.backward({ logProbs: logProbs.map(() => -1 / logProbs.length) }, options);
    await model.step({
      learningRate: learningRate(step, steps),
      betas: [0.9, 0.95],
      weightDecay: 0.1,
    });
    tokens += logProbs.length;
    yield { step: step + 1, loss: meanLoss(logProbs), tokens };
  }
}
