// What all stages work with, and what a task of the study is: a world of text, or files of the user's own.
import type { LanguageModel } from '../../engine/model.js';
import type { ComparisonEncoder, ComparisonSeparators } from '../../text/comparison.js';
import type { Encoder } from '../../text/encoding.js';
import type { PreferenceRecord } from '../../worlds/index.js';
import type { Artefact } from '../study.js';
import type { Recipe } from './recipe.js';

export type ModelKind = 'policy' | 'preference';

export interface Task {
  /** D_initial, and after it the held-out pairs, as many as the recipe asks for. */
  pairs(): Promise<readonly PreferenceRecord[]>;
  /** What the labels are made of, without noise; null where nobody knows it. */
  readonly rate: ((prompt: string, response: string) => number) | null;
  /** That a model of about so many has, besides the output of a preference model. */
  parametersOf(about: number): number;
  /** A policy before SFT, or a preference model with one output before it has learnt anything. */
  newModel(kind: ModelKind, parameters: number, seed: number | bigint): Promise<LanguageModel>;
  /** Puts the tokenizer beside a model, so that every command of alignlab takes the folder. */
  saveTokenizer(folder: string): Promise<void>;
}

export interface Materials {
  readonly recipe: Recipe;
  readonly task: Task;
  readonly encoder: Encoder;
  readonly comparisons: ComparisonEncoder;
  /** Whose key stands for the task in other stages. */
  readonly artefact: Artefact;
  /** Of every policy, when data are made and when it is evaluated: temperature 1, no filters. */
  readonly sampling: { readonly maxNewTokens: number; readonly stopTokens: readonly number[] };
}

/** Of the task and of everything that all seeds share. */
export const worldSeed = 20240508;

/** Marks that no text of a world holds twice, so that a preference model sees where parts begin. */
export const worldSeparators: ComparisonSeparators = {
  beforePrompt: '::',
  beforeFirst: '!!',
  beforeSecond: '??',
  end: '!:',
};
