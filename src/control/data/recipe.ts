// What a dataset is to be made of, checked; and the key under which it is cached.
import { contentHash } from '../../data/content-hash.js';
import { AlignlabError } from '../../errors.js';
import { type OptionNames, refuseUnknown, requireWhole } from '../../options.js';
import { didYouMean } from '../../suggest.js';
import type { EnvId, EnvSpec } from '../environments/environment.js';
import type { BuilderOptions } from './learner.js';
import { builderDefaults } from './teacher.js';

export const datasetKinds = [
  'random',
  'medium',
  'medium-replay',
  'expert',
  'medium-expert',
] as const;

export type DatasetKind = (typeof datasetKinds)[number];

/** Datasets after the construction of D4RL. They are made here, so they are not D4RL's data. */
export interface DatasetRecipe {
  readonly env: EnvId;
  readonly kind: DatasetKind;
  /** Default 100000. The replay of medium-replay has the length that learning took. */
  readonly transitions?: number;
  /** Default 0. */
  readonly seed?: bigint;
  /** The normalised score at which a policy is medium. Default 30. */
  readonly medium?: { readonly score: number };
  /** The learner that makes the policies. */
  readonly builder?: BuilderOptions;
  /** Of WheelLegged. */
  readonly task?: 'stand' | 'move';
}

export interface CheckedRecipe {
  readonly env: EnvId;
  readonly kind: DatasetKind;
  readonly transitions: number;
  readonly seed: bigint;
  readonly mediumScore: number;
  readonly builder: Required<BuilderOptions>;
  readonly task?: 'stand' | 'move';
}

const recipeNames: OptionNames<DatasetRecipe> = {
  env: true,
  kind: true,
  transitions: true,
  seed: true,
  medium: true,
  builder: true,
  task: true,
};

const builderNames: OptionNames<BuilderOptions> = {
  hidden: true,
  batch: true,
  learningRate: true,
  warmup: true,
  evaluateEvery: true,
  maxSteps: true,
  chunk: true,
};

const invalid = (message: string): AlignlabError => new AlignlabError('OPTION_INVALID', message);

const checkedBuilder = (given: BuilderOptions = {}): Required<BuilderOptions> => {
  refuseUnknown('builder', given, builderNames);
  const builder = { ...builderDefaults, ...given };
  const { hidden, learningRate, ...whole } = builder;
  for (const [name, value] of Object.entries(whole)) {
    requireWhole(`builder.${name}`, value, name === 'warmup' ? 0 : 1);
  }
  if (hidden.length === 0) throw invalid('builder.hidden needs a width for at least one layer.');
  hidden.forEach((width, i) => {
    requireWhole(`builder.hidden[${i}]`, width);
  });
  if (!(learningRate > 0 && Number.isFinite(learningRate))) {
    throw invalid(`builder.learningRate must be more than 0, got ${String(learningRate)}.`);
  }
  return builder;
};

const refuseIdle = (recipe: DatasetRecipe): void => {
  const { kind, transitions, medium, builder } = recipe;
  const idle = (name: string, why: string): AlignlabError =>
    invalid(`${name} does nothing for a ${kind} dataset: ${why}. Leave it out.`);
  if (kind === 'medium-replay' && transitions !== undefined) {
    throw idle('transitions', 'its length is that of learning');
  }
  if (medium && (kind === 'random' || kind === 'expert')) {
    throw idle('medium', 'no medium policy is in it');
  }
  if (builder && kind === 'random') throw idle('builder', 'no policy is learned for it');
};

/** @throws OPTION_INVALID */
export const checkRecipe = (recipe: DatasetRecipe): CheckedRecipe => {
  refuseUnknown('buildDataset', recipe, recipeNames);
  const { env, kind, transitions = 100_000, seed = 0n, medium, task } = recipe;
  if (!datasetKinds.includes(kind)) {
    const known = datasetKinds.join(', ');
    throw invalid(
      `There is no kind of dataset "${kind}".${didYouMean(kind, datasetKinds)} There are ${known}.`,
    );
  }
  requireWhole('transitions', transitions, 2);
  refuseIdle(recipe);
  const mediumScore = medium?.score ?? 30;
  if (!Number.isFinite(mediumScore)) {
    throw invalid(`medium.score must be a finite score, got ${String(mediumScore)}.`);
  }
  const builder = checkedBuilder(recipe.builder);
  return { env, kind, transitions, seed, mediumScore, builder, ...(task ? { task } : {}) };
};

/** The parts of a recipe that decide its content, and nothing else, in words. */
export const recipeText = (recipe: CheckedRecipe): Record<string, unknown> => {
  const { env, kind, transitions, seed, mediumScore, builder, task } = recipe;
  const hasMedium = kind.startsWith('medium');
  return {
    env,
    kind,
    seed: String(seed),
    ...(kind === 'medium-replay' ? {} : { transitions }),
    ...(hasMedium ? { mediumScore } : {}),
    ...(kind === 'random' ? {} : { builder }),
    ...(task ? { task } : {}),
  };
};

/** Raised when the way of building changes what comes out. */
const protocolVersion = 1;

/** A folder's name: what it is, and a hash of all that decides its content. */
export const cacheName = (recipe: CheckedRecipe, { xmlHash, engine }: EnvSpec): string => {
  const text = JSON.stringify(recipeText(recipe));
  const hash = contentHash(protocolVersion, text, xmlHash, engine);
  return `${recipe.env}-${recipe.kind}-${hash.slice(0, 16)}`;
};
