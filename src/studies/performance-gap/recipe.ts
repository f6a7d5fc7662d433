// What a run of the study is made of.
import { type JsonObject, show } from '../../checkpoint/json.js';
import type { ModelOptions } from '../../engine/load.js';
import { AlignlabError } from '../../errors.js';
import { type Difficulty, type WorldName, worldNames } from '../../worlds/index.js';
import { type ArmChanges, withArm } from './arm-changes.js';
import type { RecipeFiles } from './files.js';
import { type SeedChoice, recipeNamed, seedsOf } from '../recipes.js';
import { ofWorld, recipes } from './scales.js';

type Engine = Pick<ModelOptions, 'dtype' | 'device'>;

export interface ModelRecipe {
  /** About so many, embeddings included. */
  readonly parameters: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Of a proxy: training stops where this share of held-out pairs is ordered rightly. */
  readonly untilAccuracy?: number;
}

export interface Recipe {
  readonly scale: string;
  /** Of all models, where not the engine's defaults. */
  readonly engine?: Engine;
  /** null: the files take its place, and neither difficulty, noise nor prompts matter. */
  readonly world: WorldName | null;
  /** A checkpoint and preferences of the user's own. */
  readonly files?: RecipeFiles;
  readonly difficulty: Difficulty;
  /** Temperature of the hidden rater's noise. */
  readonly noise: number;
  /** Pairs of D_initial that the golden model learns from, and held-out ones for accuracies. */
  readonly pairs: number;
  readonly validation: number;
  /** Prompts that the pairs take in turn; null: each has its own. */
  readonly prompts: number | null;
  /** The first so many pairs become D_golden: of SFT, proxies, offline arms; its prompts of all. */
  readonly dataset: number;
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
    /** Lengths, as multiples of the online arm's; the paper has 1 and 5. */
    readonly steps: readonly number[];
  };
  /** Arms on the shuffled stream of the baseline online arm, at its beta. */
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
  /** Replays shuffled within windows of so many batches (figure 13); none: []. */
  readonly windows: readonly number[];
  /** Offline arms on data with one side of SFT or of the early online policy (figure 12). */
  readonly onPolicyData: boolean;
  /** Parameters of further policies (figures 10, 11, 14), and of further proxies; none: []. */
  readonly policySizes: readonly number[];
  readonly proxySizes: readonly number[];
  /** Online arms that sample from a snapshot of every so-many-th step; none: []. */
  readonly syncEvery: readonly number[];
  /** Offline arms on the first so many pairs of D_golden; none: []. */
  readonly datasetSizes: readonly number[];
  /** Other objectives, online and, where they have pairs, offline; none: []. */
  readonly losses: readonly ('dpo' | 'slic' | 'rloo' | 'ppo')[];
  /** HyPO at these weights of its reverse KL; null: none. */
  readonly hypo: { readonly lambdas: readonly number[] } | null;
  /** Online arms at this beta with and without trust weighting and penalty; null: none. */
  readonly trust: { readonly beta: number; readonly lambda: number } | null;
  /** Proxy and golden scores with the fits of Gao et al. 2023, best-of-n too. */
  readonly gao: boolean;
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

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

export interface RecipeChanges extends ArmChanges {
  readonly world?: string;
  readonly seeds?: SeedChoice;
  /** Of all models; refused where the engine has none of that name. */
  readonly device?: string;
}

/** Throws OPTION_INVALID. */
export const recipeOf = (scale: string, changes: RecipeChanges = {}): Recipe => {
  const { world, seeds, device, ...arm } = changes;
  const recipe = recipeNamed<Recipe>(recipes, scale);
  if (world !== undefined && !worldNames.includes(world as WorldName)) {
    refuse(`There is no world ${show(world)}. The worlds are ${worldNames.join(', ')}.`);
  }
  const changesArm = Object.values(arm).some((value) => value !== undefined);
  const changed = world !== undefined || seeds !== undefined || changesArm;
  const own: Recipe = {
    ...recipe,
    // Replay is exact everywhere; the other signatures were seen to hold for the recipe as it is.
    ...(changed ? { asserts: ['S1.3'] } : {}),
    ...(device === undefined
      ? {}
      : { engine: { ...recipe.engine, device: device as NonNullable<Engine['device']> } }),
    ...(world === undefined ? {} : { world: world as WorldName, ...ofWorld[world as WorldName] }),
    ...(seeds === undefined ? {} : { seeds: seedsOf(seeds) }),
  };
  return changesArm ? withArm(own, arm) : own;
};

/** As settings of a stage. */
export const settingsOf = (recipe: ModelRecipe): JsonObject => ({ ...recipe });
