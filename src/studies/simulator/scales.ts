// The scales of the simulator study. Sizes are those of the learners' presets; lengths are what a
// machine can do in the time that the scale promises, and not the paper's (1M steps) but for gpu.
import { learnerPresets } from '../../control/index.js';
import type { PresetName } from '../../control/index.js';
import { type SeedChoice, recipeNamed, seedsOf } from '../recipes.js';
import type { DataRecipe, Plan, Recipe, Sizes } from './recipe.js';

const sizesOf = (name: PresetName): Sizes => {
  const { hidden = [], batch = 0, learningRate = 0 } = learnerPresets[name].options;
  return { hidden, batch, learningRate };
};

const planOf = (steps: number, evaluateEvery = 5000, episodes = 5): Plan => ({
  steps,
  chunk: 1000,
  evaluateEvery,
  episodes,
});

const replay: DataRecipe = {
  kinds: ['medium-replay'],
  transitions: 100_000,
  mediumScore: 30,
  seed: 1,
  builder: { hidden: [64, 64], batch: 64, learningRate: 1e-3, maxSteps: 200_000 },
};

const pendulum = {
  sizes: { ...sizesOf('ci'), learningRate: 1e-3 },
  real: 10_000,
  simulated: 10_000,
  heldOut: 4000,
  updates: 4000,
  processNoise: 3,
  gravities: [1, 1.4, 2],
  bins: 20,
};

const sideBySide = ['h2o', 'sac', 'mix', 'darc'] as const;

/**
 * Of the robot. Discriminators see inputs of one size; H2O, too, has entropy in its targets, so that
 * it differs from SAC in no more than what it adds.
 */
const balance = {
  gamma: 0.99,
  backupEntropy: true,
  discriminator: { normalize: true },
};

const cpu: Recipe = {
  scale: 'cpu',
  seeds: [1, 2, 3, 4, 5],
  device: 'cpu',
  locomotion: {
    env: 'HalfCheetah',
    sizes: sizesOf('demo'),
    data: replay,
    // As long as the signatures are of: R1 at 50k updates, R2 over 20k to 60k, R4 at 30k.
    cells: {
      'joint noise': { algorithms: [...sideBySide, 'darc+'], plan: planOf(50_000) },
      gravity: { algorithms: sideBySide, plan: planOf(60_000) },
      friction: { algorithms: ['h2o', 'sac'], plan: planOf(30_000) },
      none: { algorithms: ['h2o', 'sac', 'mix'], plan: planOf(30_000) },
    },
  },
  weights: { gaps: ['none', 'friction', 'gravity', 'joint noise'], bins: 20 },
  ablations: { gap: 'gravity', plan: planOf(30_000) },
  pendulum: { ...pendulum, updates: 20_000 },
  wheelLegged: {
    sizes: sizesOf('ci'),
    // Policies of the first rate change from one evaluation to the next.
    plan: { ...planOf(50_000, 10_000), slower: { from: 30_000, learningRate: 2e-4 } },
    algorithms: ['h2o', 'sac'],
    onRobot: true,
    actionRepeat: 8, // 25 Hz
    learner: {
      // One of 30 or 15 a step is left: values are small beside what actions decide. Places and speeds
      // are in halves of a metre, a metre and a radian per second, pitch in tenths of a radian.
      stand: { ...balance, observationScale: [2, 2, 10, 2], reward: { shift: 29 } },
      // What moves has gone ten metres at the end of a trial, which do not matter to it.
      move: { ...balance, observationScale: [0.1, 5, 10, 2], reward: { shift: 14 } },
    },
    h2o: { nextStd: 'one-step' },
    dataSteps: 40_000,
    trialSeconds: 30,
    trials: 10,
  },
  cql: { plan: planOf(30_000), sizes: sizesOf('demo'), fractions: [1, 0.1] },
  asserts: ['R1a', 'R1b', 'R2', 'R3', 'R4', 'R5', 'S3.3a', 'S3.9b'],
};

const quick: Recipe = {
  ...cpu,
  scale: 'quick',
  seeds: [1, 2, 3],
  locomotion: {
    env: 'HalfCheetah',
    sizes: sizesOf('ci'),
    data: replay,
    cells: { 'joint noise': { algorithms: sideBySide, plan: planOf(40_000) } },
  },
  weights: { gaps: ['joint noise'], bins: 20 },
  ablations: null,
  pendulum,
  wheelLegged: null,
  cql: null,
  asserts: ['R1a', 'S3.3a', 'S3.9b'],
};

/** Lengths at which nothing is learned in MuJoCo: it shows that all parts work. */
const ci: Recipe = {
  ...quick,
  scale: 'ci',
  seeds: [1],
  locomotion: {
    env: 'HalfCheetah',
    sizes: { ...sizesOf('ci'), hidden: [32, 32], batch: 64 },
    data: { ...replay, kinds: ['random'], transitions: 3000 },
    cells: {
      'joint noise': {
        algorithms: ['h2o', 'sac'],
        plan: { steps: 2000, chunk: 500, evaluateEvery: 500, episodes: 1 },
      },
    },
  },
  weights: { gaps: ['joint noise'], bins: 10 },
  pendulum: { ...pendulum, updates: 3000 },
  asserts: ['S3.3a', 'S3.9b'],
};

const long = planOf(1_000_000, 10_000);

/** As the paper has it: written down for a machine that can, and never run here. */
const gpu: Recipe = {
  ...cpu,
  scale: 'gpu',
  device: 'cuda',
  locomotion: {
    env: 'HalfCheetah',
    sizes: sizesOf('paper'),
    data: {
      kinds: ['medium-replay', 'medium'],
      transitions: 1_000_000,
      mediumScore: 40,
      seed: 1,
      builder: { hidden: [256, 256], batch: 256, learningRate: 3e-4, maxSteps: 1_000_000 },
    },
    cells: {
      'joint noise': { algorithms: [...sideBySide, 'darc+'], plan: long },
      gravity: { algorithms: [...sideBySide, 'darc+'], plan: long },
      friction: { algorithms: [...sideBySide, 'darc+'], plan: long },
      none: { algorithms: ['h2o', 'sac', 'mix'], plan: long },
    },
  },
  ablations: { gap: 'gravity', plan: long },
  cql: { plan: long, sizes: sizesOf('paper'), fractions: [1, 0.1] },
};

export const recipes = { ci, quick, cpu, gpu } as const satisfies Readonly<Record<string, Recipe>>;

export interface RecipeChanges {
  readonly seeds?: SeedChoice;
}

/** Throws OPTION_INVALID. */
export const recipeOf = (scale: string, { seeds }: RecipeChanges = {}): Recipe => {
  const recipe = recipeNamed<Recipe>(recipes, scale);
  return seeds === undefined ? recipe : { ...recipe, seeds: seedsOf(seeds) };
};
