// The scales of the coverage study, and how one is chosen. Numbers that the paper does not give
// (Song et al. 2024, arXiv 2406.01462, leaves sizes and steps of its synthetic figures out) are the
// library's own and stand in the report as such.
import { type SeedChoice, recipeNamed, seedsOf } from '../recipes.js';
import type { Displacement, Estimators, Extrapolation, Recipe, ThreeResponses } from './recipe.js';
import { stories, textRecipes } from './text/scales.js';

const threeResponses: ThreeResponses = {
  training: { steps: 400, batchSize: 8, learningRate: 0.3, schedule: 'linear', every: 5 },
  rare: -30,
  comparisons: 8,
  preferred: 7,
  slope: 6,
  beta: 0.1,
  ipoBeta: 0.02,
  lambda: 0.1,
  samples: 2,
};

const extrapolation: Extrapolation = {
  training: { steps: 2000, batchSize: 64, learningRate: 0.05, schedule: 'constant', every: 20 },
  responses: 100,
  features: 10,
  left: 10,
  rewardNorm: 3 * Math.sqrt(10),
  pairs: 3000,
  beta: 0.1,
  lambda: 0.05,
  samples: 2,
};

const displacement: Displacement = {
  training: { steps: 1500, batchSize: 64, learningRate: 0.05, schedule: 'constant', every: 5 },
  covered: 30,
  uncovered: 30,
  uncoveredReward: -5,
  uncoveredMass: 0.01,
  skew: -2,
  pairs: 3000,
  beta: 0.05,
  lambdas: [0.003, 0.01, 0.03],
  samples: 2,
};

const estimators: Estimators = {
  draws: 40_000,
  single: { responses: 50, distances: [0.3, 1, 3] },
  product: { tokens: 40, choices: 5, distances: [0.3, 1] },
};

const cpu: Recipe = {
  scale: 'cpu',
  seeds: [1, 2, 3, 4, 5],
  threeResponses,
  extrapolation,
  displacement,
  estimators,
  text: textRecipes.cpu,
  stories,
  asserts: ['T1a', 'T1b', 'T1c', 'S2.7a', 'S2.7b'],
};

const quick: Recipe = {
  ...cpu,
  scale: 'quick',
  seeds: [1, 2, 3],
  extrapolation: {
    ...extrapolation,
    training: { ...extrapolation.training, steps: 500, batchSize: 32, learningRate: 0.1 },
  },
  displacement: {
    ...displacement,
    training: { ...displacement.training, steps: 400 },
    lambdas: [0.01, 0.03],
  },
  estimators: { ...estimators, draws: 4000 },
  text: textRecipes.quick,
};

const ci: Recipe = {
  ...quick,
  scale: 'ci',
  extrapolation: {
    ...extrapolation,
    training: { ...extrapolation.training, steps: 400, batchSize: 16, learningRate: 0.1 },
  },
  displacement: {
    ...quick.displacement!,
    training: { ...displacement.training, steps: 200, batchSize: 32 },
  },
  estimators: {
    draws: 2000,
    single: { responses: 50, distances: [1] },
    product: { ...estimators.product, distances: [1] },
  },
  text: textRecipes.ci,
};

export const recipes = { ci, quick, cpu, gpu: { ...cpu, scale: 'gpu', text: textRecipes.gpu } } as const satisfies Record<
  string,
  Recipe
>;

export interface RecipeChanges {
  readonly seeds?: SeedChoice;
}

/** Throws OPTION_INVALID. */
export const recipeOf = (scale: string, { seeds }: RecipeChanges = {}): Recipe => {
  const recipe = recipeNamed<Recipe>(recipes, scale);
  return seeds === undefined ? recipe : { ...recipe, seeds: seedsOf(seeds) };
};
