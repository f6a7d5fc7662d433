// The smallest recipe that goes through every stage: nothing is learnt from it.
import { type Recipe, recipeOf } from '../../src/studies/performance-gap/index.js';

export const smallest: Recipe = {
  ...recipeOf('ci'),
  scale: 'smallest',
  pairs: 64,
  validation: 16,
  dataset: 64,
  maxNewTokens: 8,
  golden: { parameters: 9000, steps: 4, batchSize: 8, learningRate: 2e-3 },
  sft: { parameters: 9000, steps: 6, batchSize: 8, learningRate: 5e-3 },
  proxy: { parameters: 9000, steps: 4, batchSize: 8, learningRate: 3e-3 },
  arm: { steps: 6, batchSize: 4, learningRate: 1e-3, beta: 0.1 },
  offline: { learningRates: [1e-3], betas: [0.1], steps: [1] },
  shuffled: { learningRates: [1e-3] },
  weakBeta: 0.03,
  bestOf2: true,
  endVersusEnd: { learningRates: [1e-3] },
  asserts: ['S1.3'],
  seeds: [1],
  evaluation: { prompts: 8, steps: [3, 6], pairs: 8, streamPlaces: 2, streamPairs: 4 },
};

/** Without what the runner's tests do not need, and with stages for several threads. */
export const parallel: Recipe = {
  ...smallest,
  seeds: [1, 2],
  weakBeta: null,
  bestOf2: false,
  endVersusEnd: { learningRates: [] },
};
