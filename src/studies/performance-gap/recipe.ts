// What a run of the study is made of, at each scale.
import { type JsonObject, show } from '../../checkpoint/json.js';
import { AlignlabError } from '../../errors.js';
import { type Difficulty, type WorldName, worldNames } from '../../worlds/index.js';

export interface ModelRecipe {
  /** About so many, embeddings included. */
  readonly parameters: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
}

export interface Recipe {
  readonly scale: string;
  readonly world: WorldName;
  readonly difficulty: Difficulty;
  /** Temperature of the hidden rater's noise. */
  readonly noise: number;
  /** Pairs of D_initial that models learn from, and as many held-out ones for accuracies. */
  readonly pairs: number;
  readonly validation: number;
  readonly maxNewTokens: number;
  /** Preference model that stands for the truth; the largest transformer. */
  readonly golden: ModelRecipe;
  readonly sft: ModelRecipe;
  /** Preference model that online arms train against. */
  readonly proxy: ModelRecipe;
  /** What every arm shares: the baseline configuration. */
  readonly arm: {
    readonly steps: number;
    readonly batchSize: number;
    readonly learningRate: number;
    readonly beta: number;
  };
  /** Offline arms on D_golden: all combinations, pooled. The baseline must be among them. */
  readonly offline: {
    readonly learningRates: readonly number[];
    readonly betas: readonly number[];
  };
  /** Arms on the shuffled stream of the online arm, at the baseline's beta. */
  readonly shuffled: { readonly learningRates: readonly number[] };
  /**
   * A second regime at a smaller beta than the paper's, where policies go farther: online, offline
   * and shuffled at the baseline's learning rate. null: none.
   */
  readonly weakBeta: number | null;
  /** Best-of-2 instead of IPO: online, offline and shuffled, at the baseline's learning rate. */
  readonly bestOf2: boolean;
  /** Offline arms on data of the final online policy, at these learning rates; none: []. */
  readonly endVersusEnd: { readonly learningRates: readonly number[] };
  readonly seeds: readonly number[];
  /** Signatures that have to hold at this size; a run in which one does not has failed. */
  readonly asserts: readonly string[];
  readonly evaluation: {
    readonly prompts: number;
    /** Steps at which a run is evaluated besides its start. */
    readonly steps: readonly number[];
    /** Pairs of D_golden on which policies are classifiers. */
    readonly pairs: number;
    /** Places along the online stream, and pairs near each. */
    readonly streamPlaces: number;
    readonly streamPairs: number;
  };
}

const ci: Recipe = {
  scale: 'ci',
  world: 'summarise',
  difficulty: 1,
  noise: 0.4,
  pairs: 3000,
  validation: 256,
  maxNewTokens: 24,
  golden: { parameters: 100_000, steps: 250, batchSize: 16, learningRate: 2e-3 },
  sft: { parameters: 27_000, steps: 400, batchSize: 16, learningRate: 5e-3 },
  proxy: { parameters: 27_000, steps: 250, batchSize: 16, learningRate: 3e-3 },
  arm: { steps: 240, batchSize: 16, learningRate: 7e-4, beta: 0.1 },
  offline: { learningRates: [7e-4], betas: [0.1] },
  shuffled: { learningRates: [7e-4] },
  weakBeta: null,
  bestOf2: false,
  endVersusEnd: { learningRates: [] },
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

const quick: Recipe = {
  ...ci,
  scale: 'quick',
  pairs: 6000,
  validation: 512,
  golden: { parameters: 100_000, steps: 600, batchSize: 16, learningRate: 2e-3 },
  sft: { parameters: 27_000, steps: 700, batchSize: 16, learningRate: 5e-3 },
  arm: { steps: 400, batchSize: 16, learningRate: 5e-4, beta: 0.1 },
  offline: { learningRates: [5e-4, 1.5e-3], betas: [0.1, 0.5] },
  shuffled: { learningRates: [5e-4] },
  weakBeta: 0.03,
  bestOf2: true,
  endVersusEnd: { learningRates: [5e-4] },
  seeds: [1, 2],
  asserts: ['S1.3'],
  evaluation: {
    prompts: 384,
    steps: [5, 10, 20, 40, 80, 120, 160, 240, 320, 400],
    pairs: 256,
    streamPlaces: 8,
    streamPairs: 64,
  },
};

export const recipes = { ci, quick } as const satisfies Record<string, Recipe>;

export type Scale = keyof typeof recipes;

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

export interface RecipeChanges {
  readonly world?: string;
  /** The first so many seeds. */
  readonly seeds?: number;
}

/** Throws OPTION_INVALID. */
export const recipeOf = (scale: string, { world, seeds }: RecipeChanges = {}): Recipe => {
  if (!Object.hasOwn(recipes, scale)) {
    refuse(
      `There is no recipe for the scale ${show(scale)}; there are ${Object.keys(recipes).join(', ')}.`,
    );
  }
  const recipe = recipes[scale as Scale];
  if (world !== undefined && !worldNames.includes(world as WorldName)) {
    refuse(`There is no world ${show(world)}. The worlds are ${worldNames.join(', ')}.`);
  }
  if (seeds !== undefined && !(Number.isSafeInteger(seeds) && seeds >= 1 && seeds <= 100)) {
    refuse(`seeds must be a whole number from 1 to 100, got ${show(seeds)}.`);
  }
  const changed = world !== undefined || seeds !== undefined;
  return {
    ...recipe,
    // Replay is exact everywhere; the other signatures were seen to hold for the recipe as it is.
    ...(changed ? { asserts: ['S1.3'] } : {}),
    ...(world === undefined ? {} : { world: world as WorldName }),
    ...(seeds === undefined ? {} : { seeds: Array.from({ length: seeds }, (_, i) => i + 1) }),
  };
};

/** As settings of a stage. */
export const settingsOf = (recipe: ModelRecipe): JsonObject => ({ ...recipe });
