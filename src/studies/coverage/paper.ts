// The paper's own settings (Song et al. 2024, arXiv 2406.01462, TL;DR), as far as they are known. What
// could be found of the paper is a preset; the rest is recalled, or of pipelines that it stands on, and
// is told apart: such a number is nothing to compare a run with.
import type { JsonObject } from '../../checkpoint/json.js';

/** Options of the objective hypo that are known. */
export const song2024 = { loss: 'dpo', baseline: 'rloo' } as const;

/** For the manifest of a run. */
export const paperSettings = {
  preset: 'song2024',
  found: {
    objective: song2024,
    samples: 'unlabelled, of the policy in training',
    seeds: 3,
    policies: ['1.4B', '2.8B'],
  },
  unverified: {
    beta: 0.05,
    lambda: 1e-4,
    lambdaWeighs: 'KL of whole responses',
    samplesOfPrompt: 2,
    learningRate: 3e-6,
    batchSize: 64,
    schedule: 'cosine',
    optimizer: 'AdamW, epsilon 1e-5',
    epochs: 1,
    pairs: 92_832,
    maxNewTokens: 53,
    lora: { rank: 1024, alpha: 2048, dropout: 0 },
  },
  unknown: ['temperature of the samples', 'settings of the chat experiments', 'sizes of the toys'],
} as const satisfies JsonObject;
