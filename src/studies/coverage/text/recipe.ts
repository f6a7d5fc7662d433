// What a run of the text half of the coverage study is made of.
import type { Difficulty, WorldName } from '../../../worlds/index.js';
import type { ModelRecipe, Recipe as GapRecipe } from '../../performance-gap/recipe.js';

/** How the behaviour policy samples from the SFT policy: what is left of the reference's coverage. */
export interface Behaviour {
  /** 'full', 'top 3' … */
  readonly name: string;
  readonly temperature: number;
  /** Most probable tokens that are kept; 0: all. */
  readonly topK: number;
  /** Support mask: responses with one of these words are never in the data. */
  readonly without: readonly string[];
}

/** Variance reduction of the reverse KL's gradient, of the objective hypo. */
export type Baseline = 'none' | 'rloo' | 'token' | 'exact';

export interface TextTraining {
  readonly steps: number;
  /** Pairs of a step, or prompts. */
  readonly batchSize: number;
  readonly learningRate: number;
}

export interface TextRecipe {
  /** Of all models, where not the engine's defaults. */
  readonly engine?: NonNullable<GapRecipe['engine']>;
  readonly world: WorldName;
  /** Whose texts the SFT policy learns as well, and preference training does not. */
  readonly unrelated: WorldName;
  readonly difficulty: Difficulty;
  /** Temperature of the rater's Bradley–Terry noise in the labels of the data. */
  readonly noise: number;
  readonly maxNewTokens: number;
  /** `pairs` of the world and `unrelatedPairs` of the other one: both responses are learnt. */
  readonly sft: ModelRecipe & { readonly pairs: number; readonly unrelatedPairs: number };
  /** D: pairs of the behaviour policy, and held-out ones for the reward model's accuracy. */
  readonly pairs: number;
  readonly validation: number;
  /** Of D, in all experiments but the sweep of coverage. */
  readonly behaviour: Behaviour;
  /** Bradley–Terry reward model of D: RM score, and what online RLHF trains against. */
  readonly reward: ModelRecipe;
  /** What DPO and HyPO share. */
  readonly arm: TextTraining & { readonly beta: number };
  readonly hypo: {
    readonly lambda: number;
    /** Unlabelled samples of a prompt. */
    readonly samples: number;
    readonly baseline: Baseline;
  };
  /** RLOO on the reward model's scores, less beta times the KL. */
  readonly rlhf: TextTraining & { readonly beta: number; readonly samples: number };
  /** Parameters of a second, larger policy; null: none. */
  readonly large: number | null;
  /** Besides 0 and the recipe's own; none: no sweep. */
  readonly lambdas: readonly number[];
  /** Samples of a prompt, with the baseline rloo (none for 1); none: no sweep. */
  readonly samples: readonly number[];
  /** From wide to narrow; none: no sweep. */
  readonly coverage: readonly Behaviour[];
  readonly evaluation: {
    /** Held out: of the world's test split. */
    readonly prompts: number;
    /** At which arms are measured besides their start; the last step must be among them. */
    readonly steps: readonly number[];
    /** Of D for E_D[log pi/pi_ref], and held-out pairs of either world for perplexities. */
    readonly pairs: number;
    /** Of the responses that policies are compared with: behaviour.ts of the worlds. */
    readonly opponentQuality: number;
  };
}

/** Files of the user's: a checkpoint, its preference data, and prompts held out from them. */
export interface StoriesFiles {
  /** Folder of a checkpoint with its tokenizer. */
  readonly model: string;
  /** Rows with prompt, chosen and rejected. */
  readonly preferences: string;
  /** Rows with a prompt. */
  readonly prompts: string;
}

/** DPO and HyPO on real text. */
export interface StoriesRecipe {
  /** null: the experiment says 'not tested'. */
  readonly files: StoriesFiles | null;
  readonly arm: TextTraining & { readonly beta: number };
  readonly lambda: number;
  readonly samples: number;
  readonly baseline: Baseline;
  readonly maxNewTokens: number;
  /** Tokens of a prompt with one response at most; longer ones are cut at the start of the prompt. */
  readonly maxLength: number;
  /** The first so many rows that fit. */
  readonly pairs: number;
  readonly evaluation: { readonly prompts: number; readonly steps: readonly number[] };
}
