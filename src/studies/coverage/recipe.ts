// What a run of the coverage study is made of.
import type { StoriesRecipe, TextRecipe } from './text/recipe.js';

/** Optimiser steps of a toy, and how they are made. */
export interface ToyTraining {
  readonly steps: number;
  /** Pairs of a step, and groups of samples. */
  readonly batchSize: number;
  readonly learningRate: number;
  readonly schedule: 'constant' | 'linear';
  /** Steps from one measurement to the next. */
  readonly every: number;
}

/** Three responses, of which the reference hardly ever gives the third and the data never. */
export interface ThreeResponses {
  readonly training: ToyTraining;
  /** log pi_ref of the third response, about. */
  readonly rare: number;
  /** Of as many comparisons of the other two, so many prefer the first. */
  readonly comparisons: number;
  readonly preferred: number;
  /** How much faster than the first response's the logit of the third one grows. */
  readonly slope: number;
  readonly beta: number;
  readonly ipoBeta: number;
  readonly lambda: number;
  readonly samples: number;
}

/** Unit features, a linear reward, and data that leaves out the best responses. */
export interface Extrapolation {
  readonly training: ToyTraining;
  readonly responses: number;
  readonly features: number;
  readonly left: number;
  /** Length of the true reward's vector. */
  readonly rewardNorm: number;
  readonly pairs: number;
  readonly beta: number;
  readonly lambda: number;
  readonly samples: number;
}

/** A tabular policy whose reference prefers bad responses; some responses are in no pair. */
export interface Displacement {
  readonly training: ToyTraining;
  readonly covered: number;
  readonly uncovered: number;
  readonly uncoveredReward: number;
  /** Of the reference, on all responses that are not covered. */
  readonly uncoveredMass: number;
  /** Logits of the reference on covered responses: so many times the reward. */
  readonly skew: number;
  readonly pairs: number;
  readonly beta: number;
  /** Without 0, which is the DPO arm. */
  readonly lambdas: readonly number[];
  readonly samples: number;
}

/** Enumerable policies at some distance from a reference, and samples to estimate gradients from. */
export interface Estimators {
  readonly draws: number;
  /** One token out of so many. */
  readonly single: { readonly responses: number; readonly distances: readonly number[] };
  /** Independent tokens. */
  readonly product: {
    readonly tokens: number;
    readonly choices: number;
    readonly distances: readonly number[];
  };
}

export interface Recipe {
  readonly scale: string;
  readonly seeds: readonly number[];
  readonly threeResponses: ThreeResponses | null;
  readonly extrapolation: Extrapolation | null;
  readonly displacement: Displacement | null;
  readonly estimators: Estimators | null;
  readonly text: TextRecipe | null;
  readonly stories: StoriesRecipe | null;
  /** Signatures that have to hold at this size; a run in which one does not has failed. */
  readonly asserts: readonly string[];
}
