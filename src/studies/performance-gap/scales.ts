// The study at each of its scales. ci asserts what holds at its size; quick is what `npm start` runs;
// cpu is a night on two cores. gpu needs an accelerator: it was written down and never run.
import type { WorldName } from '../../worlds/index.js';
import type { Recipe } from './recipe.js';

const ci: Recipe = {
  scale: 'ci',
  world: 'summarise',
  difficulty: 1,
  noise: 0.4,
  pairs: 3000,
  validation: 256,
  prompts: null,
  dataset: 3000,
  maxNewTokens: 24,
  golden: { parameters: 100_000, steps: 250, batchSize: 16, learningRate: 2e-3 },
  sft: { parameters: 27_000, steps: 400, batchSize: 16, learningRate: 5e-3 },
  proxy: { parameters: 27_000, steps: 250, batchSize: 16, learningRate: 3e-3 },
  arm: { steps: 240, batchSize: 16, learningRate: 7e-4, beta: 0.1 },
  offline: { learningRates: [7e-4], betas: [0.1], steps: [1] },
  shuffled: { learningRates: [7e-4] },
  weakBeta: null,
  bestOf2: false,
  endVersusEnd: { learningRates: [] },
  windows: [],
  onPolicyData: false,
  policySizes: [],
  proxySizes: [],
  syncEvery: [],
  datasetSizes: [],
  losses: [],
  hypo: null,
  trust: null,
  gao: false,
  seeds: [1],
  asserts: ['S1.1', 'S1.3', 'S1.8a', 'S1.8b', 'S1.9a'],
  evaluation: {
    prompts: 256,
    steps: [20, 40, 80, 120, 180, 240],
    pairs: 128,
    streamPlaces: 5,
    streamPairs: 32,
  },
};

// The truth is sharper than at ci, and D_golden a small part of what it was learnt from: offline arms
// have little to go by, and proxies are good but can be fooled.
const quick: Recipe = {
  ...ci,
  scale: 'quick',
  noise: 0.2,
  pairs: 20_000,
  validation: 512,
  dataset: 800,
  golden: { parameters: 100_000, steps: 2500, batchSize: 16, learningRate: 2e-3 },
  sft: { parameters: 27_000, steps: 700, batchSize: 16, learningRate: 5e-3 },
  proxy: {
    parameters: 27_000,
    steps: 500,
    batchSize: 16,
    learningRate: 3e-3,
    // The upper end of what still can be fooled. With a fixed number of steps seeds differ: 150 gave
    // 0.77 to 0.88, and a proxy of 0.77 misleads the online arm below the offline ones.
    untilAccuracy: 0.84,
  },
  arm: { steps: 400, batchSize: 32, learningRate: 2e-4, beta: 0.06 },
  offline: { learningRates: [2e-4, 6e-4], betas: [0.06, 0.12], steps: [1] },
  shuffled: { learningRates: [2e-4] },
  weakBeta: 0.03,
  bestOf2: true,
  endVersusEnd: { learningRates: [2e-4] },
  seeds: [1, 2],
  asserts: ['S1.3'],
  evaluation: {
    prompts: 320,
    steps: [20, 40, 70, 110, 160, 240, 320, 400],
    pairs: 256,
    streamPlaces: 8,
    streamPairs: 64,
  },
};

const cpu: Recipe = {
  ...quick,
  scale: 'cpu',
  arm: { ...quick.arm, steps: 600 },
  offline: { learningRates: [6e-5, 2e-4, 6e-4], betas: [0.06, 0.12], steps: [1, 3] },
  shuffled: { learningRates: [2e-4, 6e-4] },
  endVersusEnd: { learningRates: [2e-4, 6e-4] },
  windows: [4, 75],
  onPolicyData: true,
  policySizes: [8000, 100_000],
  proxySizes: [8000, 100_000],
  syncEvery: [4, 30, 150],
  datasetSizes: [100, 300],
  losses: ['dpo', 'slic', 'rloo', 'ppo'],
  hypo: { lambdas: [0.003, 0.01, 0.03] },
  // Far below weakBeta: there the online arms had begun to fall for one proxy of three only.
  trust: { beta: 0.01, lambda: 0.3 },
  gao: true,
  // Not those on which the recipe was chosen.
  seeds: [21, 22, 23],
  evaluation: {
    prompts: 512,
    steps: [20, 40, 70, 110, 160, 250, 350, 475, 600],
    pairs: 256,
    streamPlaces: 8,
    streamPairs: 64,
  },
};

const gpu: Recipe = {
  ...cpu,
  scale: 'gpu',
  engine: { dtype: 'bf16', device: 'auto' },
  difficulty: 3,
  pairs: 100_000,
  validation: 2048,
  dataset: 100_000,
  maxNewTokens: 48,
  golden: { parameters: 1_000_000_000, steps: 6000, batchSize: 64, learningRate: 1e-4 },
  sft: { parameters: 300_000_000, steps: 6000, batchSize: 128, learningRate: 3e-4 },
  proxy: { parameters: 100_000_000, steps: 3000, batchSize: 32, learningRate: 1e-4 },
  arm: { steps: 4000, batchSize: 32, learningRate: 1e-5, beta: 0.1 },
  offline: { learningRates: [3e-6, 1e-5, 3e-5], betas: [0.1, 0.5, 1], steps: [1, 5] },
  shuffled: { learningRates: [3e-6, 1e-5, 3e-5] },
  endVersusEnd: { learningRates: [3e-6, 1e-5, 3e-5] },
  trust: { beta: 0.02, lambda: 0.3 },
  windows: [4, 500],
  policySizes: [100_000_000, 1_000_000_000],
  proxySizes: [30_000_000, 300_000_000],
  syncEvery: [8, 64, 512],
  datasetSizes: [2000, 20_000],
  evaluation: {
    prompts: 2048,
    steps: [50, 100, 200, 400, 800, 1200, 1600, 2000, 2500, 3000, 3500, 4000],
    pairs: 256,
    streamPlaces: 10,
    streamPairs: 64,
  },
};

/** What a world needs instead, at scales that were made for another. */
export const ofWorld: Readonly<Record<WorldName, Partial<Recipe>>> = {
  summarise: {},
  // Few prompts at difficulty 1, and longer answers.
  help: { prompts: 4500, maxNewTokens: 40 },
  chat: { maxNewTokens: 40 },
};

export const recipes = { ci, quick, cpu, gpu } as const satisfies Record<string, Recipe>;

export type Scale = keyof typeof recipes;
