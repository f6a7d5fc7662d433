// The least arithmetic and memory traffic that a work needs, from the shape of the model. It is the
// numerator of every "share of the machine's limit", for ours and for the peer alike.
import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface Work {
  readonly kind: 'train' | 'score' | 'generate' | 'dpo';
  readonly batch: number;
  readonly length: number;
  readonly prompt: number;
  readonly newTokens: number;
}

interface Shape {
  readonly bodyWeights: number; // in matrices of all blocks
  readonly headWeights: number; // vocabulary x width
  readonly attentionPerPair: number; // flops of one query meeting one key, all layers and heads
  readonly kvPerToken: number; // keys and values that decoding reads again, all layers
}

const positive = (value: unknown): number | undefined =>
  typeof value === 'number' && value > 0 ? value : undefined;

/** Reads the shape from config.json; llama-like and gpt2 keys. */
function readShape(folder: string): Shape {
  const text = readFileSync(path.join(folder, 'config.json'), 'utf8');
  const config = JSON.parse(text) as Record<string, unknown>;
  const width = positive(config.hidden_size) ?? positive(config.n_embd) ?? 0;
  const layers = positive(config.num_hidden_layers) ?? positive(config.n_layer) ?? 0;
  const heads = positive(config.num_attention_heads) ?? positive(config.n_head) ?? 1;
  const kvHeads = positive(config.num_key_value_heads) ?? heads;
  const headDim = positive(config.head_dim) ?? width / heads;
  const gated = !['gpt2', 'gpt_neox'].includes(String(config.model_type));
  const inner = positive(config.intermediate_size) ?? positive(config.n_inner) ?? 4 * width;
  const attention = width * headDim * (heads + 2 * kvHeads) + heads * headDim * width;
  return {
    bodyWeights: layers * (attention + (gated ? 3 : 2) * width * inner),
    headWeights: Number(config.vocab_size) * width,
    attentionPerPair: layers * heads * headDim * 4,
    kvPerToken: layers * kvHeads * headDim * 2,
  };
}

interface Limits {
  readonly flops: number; // per second
  readonly bandwidth: number; // bytes per second
}

const causalPairs = (tokens: number): number => (tokens * (tokens + 1)) / 2;

/** Seconds that the work would take at the machine's limits. */
export function secondsAtLimit(
  folder: string,
  work: Work,
  limits: Limits,
  bytesPerWeight: number,
): number {
  const shape = readShape(folder);
  const { batch, length, prompt, newTokens } = work;
  const forward = (tokens: number, scored: number, pairs: number): number =>
    2 * shape.bodyWeights * tokens +
    2 * shape.headWeights * scored +
    shape.attentionPerPair * pairs;
  const seconds = (flops: number): number => flops / limits.flops;

  if (work.kind === 'generate') {
    const prefill = seconds(forward(batch * prompt, batch, batch * causalPairs(prompt)));
    const weightBytes = (shape.bodyWeights + shape.headWeights) * bytesPerWeight;
    let decode = 0;
    for (let step = 1; step < newTokens; step += 1) {
      const read = batch * (prompt + step);
      const bytes = weightBytes + read * shape.kvPerToken * bytesPerWeight;
      decode += Math.max(bytes / limits.bandwidth, seconds(forward(batch, batch, read)));
    }
    return prefill + decode;
  }
  if (work.kind === 'dpo') {
    // The prompt is needed once per pair, each completion twice attends to it.
    const completion = length - prompt;
    const pairs = causalPairs(prompt) + 2 * (causalPairs(length) - causalPairs(prompt));
    const pass = forward(batch * (prompt + 2 * completion), batch * 2 * completion, batch * pairs);
    return seconds(4 * pass); // policy forward, its backward (twice a forward), reference forward
  }
  const pass = forward(batch * length, batch * (length - 1), batch * causalPairs(length));
  return seconds(work.kind === 'train' ? 3 * pass : pass);
}

/** What a work's rate counts. */
export function amountOf(work: Work): { readonly amount: number; readonly unit: string } {
  if (work.kind === 'dpo') return { amount: work.batch, unit: 'pairs/s' };
  if (work.kind === 'generate') return { amount: work.batch * work.newTokens, unit: 'tokens/s' };
  return { amount: work.batch * work.length, unit: 'tokens/s' };
}
