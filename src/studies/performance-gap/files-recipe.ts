// The recipe of each scale for a checkpoint and pairs of the user's own.
import { AlignlabError } from '../../errors.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { type ArmChanges, withArm } from './arm-changes.js';
import { type OpenFiles, type RecipeFiles, openTexts, readPairs, toldCounts } from './files.js';
import { parametersWith } from './files-task.js';
import { type ModelRecipe, type Recipe, type RecipeChanges, recipeOf } from './recipe.js';
import type { Scale } from './scales.js';

type Training = Omit<ModelRecipe, 'parameters'>;

interface FilesScale extends Pick<Recipe, 'pairs' | 'validation' | 'dataset'> {
  readonly golden: Training;
  readonly sft: Training;
  readonly proxy: Training;
  readonly arm: ArmChanges;
}

/** Heads are new, the blocks below them are not. */
const preference = { batchSize: 16, learningRate: 5e-5 };
/** What the checkpoint can do already is kept: few steps, to where its responses look like the data. */
const sft = { batchSize: 16, learningRate: 2e-5 };
/** The paper's learning rate and beta, which were chosen for models that have learnt a language. */
const arm = { learningRate: 1e-5, beta: 0.1, maxNewTokens: 64 };

const scales: Readonly<Record<Scale, FilesScale>> = {
  ci: {
    pairs: 400,
    validation: 100,
    dataset: 400,
    golden: { ...preference, steps: 50 },
    sft: { ...sft, steps: 20 },
    proxy: { ...preference, steps: 40 },
    arm: { ...arm, steps: 40, batchSize: 8 },
  },
  quick: {
    pairs: 2000,
    validation: 256,
    dataset: 800,
    golden: { ...preference, steps: 250 },
    sft: { ...sft, steps: 80 },
    proxy: { ...preference, steps: 100 },
    arm: { ...arm, steps: 200, batchSize: 16 },
  },
  cpu: {
    pairs: 20_000,
    validation: 512,
    dataset: 4000,
    golden: { ...preference, steps: 2500 },
    sft: { ...sft, steps: 400 },
    proxy: { ...preference, steps: 500 },
    arm: { ...arm, steps: 600, batchSize: 32 },
  },
  gpu: {
    pairs: 100_000,
    validation: 2048,
    dataset: 100_000,
    golden: { ...preference, batchSize: 64, steps: 3000, learningRate: 1e-5 },
    sft: { ...sft, batchSize: 128, steps: 1500 },
    proxy: { ...preference, batchSize: 32, steps: 3000, learningRate: 1e-5 },
    arm: { ...arm, steps: 4000, batchSize: 32 },
  },
};

const leastPairs = 16;

/** Sizes that the checkpoint has: all blocks, and for the proxy the first half of them. */
const sizesOf = (checkpoint: Checkpoint, proxySizes: boolean) => {
  const { layers } = checkpoint.shape;
  const share = (part: number): number =>
    parametersWith(checkpoint, Math.max(1, Math.round(layers * part)));
  const whole = share(1);
  return { whole, half: share(0.5), others: proxySizes ? [share(0.25), whole] : [] };
};

const forCheckpoint = (recipe: Recipe, scale: FilesScale, { checkpoint }: OpenFiles): Recipe => {
  const { whole, half, others } = sizesOf(checkpoint, recipe.proxySizes.length > 0);
  return {
    ...recipe,
    engine: { dtype: checkpoint.dtype === 'F32' ? 'f32' : 'bf16', ...recipe.engine },
    golden: { ...scale.golden, parameters: whole },
    sft: { ...scale.sft, parameters: whole },
    proxy: { ...scale.proxy, parameters: half },
    proxySizes: others,
  };
};

/** At most so many pairs as there are; a note where that is less than the scale has. */
const forPairs = (recipe: Recipe, kept: number, notes: string[]): Recipe => {
  const { evaluation, datasetSizes } = recipe;
  const enough = kept >= recipe.pairs + recipe.validation;
  const validation = enough ? recipe.validation : Math.min(recipe.validation, Math.floor(kept / 8));
  const pairs = Math.min(recipe.pairs, kept - validation);
  const dataset = Math.min(recipe.dataset, pairs);
  if (!enough) {
    notes.push(
      `The scale ${recipe.scale} asks for ${recipe.pairs} pairs and ${recipe.validation} held-out ` +
        `ones, and ${kept} are there: ${pairs} and ${validation} are taken, ${dataset} of them for ` +
        'D_golden.',
    );
  }
  const share = dataset / recipe.dataset;
  return {
    ...recipe,
    pairs,
    validation,
    dataset,
    datasetSizes: [...new Set(datasetSizes.map((size) => Math.max(1, Math.round(size * share))))],
    evaluation: {
      ...evaluation,
      prompts: Math.min(evaluation.prompts, dataset),
      pairs: Math.min(evaluation.pairs, dataset),
    },
  };
};

export interface FilesPlan {
  readonly recipe: Recipe;
  /** What became of the file's pairs, and what was lowered: for the user to read. */
  readonly notes: readonly string[];
}

/**
 * The recipe of a scale for the files, which are read for it. Throws OPTION_INVALID, DATA_INVALID and
 * what is wrong with the files.
 */
export const recipeOfFiles = async (
  scale: string,
  files: RecipeFiles,
  changes: Omit<RecipeChanges, 'world'> = {},
): Promise<FilesPlan> => {
  const { seeds, device, ...armChanges } = changes;
  const base = recipeOf(scale, {
    ...(seeds === undefined ? {} : { seeds }),
    ...(device === undefined ? {} : { device }),
  });
  const own = scales[scale as Scale];
  const { pairs, validation, dataset } = own;
  const share = dataset / base.dataset;
  const planned = withArm(
    {
      ...base,
      world: null,
      files,
      prompts: null,
      policySizes: [],
      asserts: ['S1.3'],
      pairs,
      validation,
      dataset,
      datasetSizes: base.datasetSizes.map((size) => Math.round(size * share)),
    },
    { ...own.arm, ...armChanges },
  );
  const open = await openTexts(files, planned.maxNewTokens);
  const { counts } = await readPairs(open, pairs + validation);
  if (counts.kept < leastPairs) {
    throw new AlignlabError(
      'DATA_INVALID',
      `The study needs ${leastPairs} pairs at least, and ${toldCounts(counts)}. Responses may have ` +
        `${planned.maxNewTokens} tokens: raise maxNewTokens (--max-new-tokens) or maxTokens ` +
        '(--max-length), or give more pairs.',
    );
  }
  const notes = [`Of the preferences ${toldCounts(counts)}.`];
  const recipe = forPairs(forCheckpoint(planned, own, open), counts.kept, notes);
  return { recipe, notes };
};
