// The worlds of the text half, as the performance-gap study's stages take them: one tokenizer for the
// world that policies are aligned on and for the unrelated one of their SFT.
import { Encoder } from '../../../text/encoding.js';
import { ComparisonEncoder } from '../../../text/comparison.js';
import { Tokenizer } from '../../../text/tokenizer.js';
import {
  type World,
  createWorld,
  sharedTokenizer,
  writeTokenizer,
} from '../../../worlds/index.js';
import type { Recipe } from '../../performance-gap/recipe.js';
import { recipes } from '../../performance-gap/scales.js';
import { type Materials, worldSeparators } from '../../performance-gap/task.js';
import { taskOf } from '../../performance-gap/world-task.js';
import type { Stages } from '../../study.js';
import type { TextRecipe } from './recipe.js';

export interface TextMaterials extends Materials {
  readonly world: World;
  readonly unrelated: World;
}

/** Of the hidden world and of everything that all seeds share. */
export const worldSeed = 20240602;

export const openTextMaterials = async (
  stages: Stages,
  text: TextRecipe,
): Promise<TextMaterials> => {
  const { difficulty, noise, engine, maxNewTokens } = text;
  const world = createWorld(text.world, { difficulty, noise });
  const unrelated = createWorld(text.unrelated, { difficulty, noise });
  const tokenizerFiles = sharedTokenizer([world, unrelated]);
  const artefact = await stages.stage({
    name: `worlds ${text.world} and ${text.unrelated}`,
    settings: {
      worlds: [world.describe(), unrelated.describe()],
      ...(engine ? { engine: { ...engine } } : {}),
    },
    run: async ({ folder }) => {
      await writeTokenizer(folder, tokenizerFiles);
      return { tokens: tokenizerFiles.size };
    },
  });
  const encoder = new Encoder(await Tokenizer.load(artefact.folder));
  // Models and SFT read their sizes and the engine of it, and nothing of its arms.
  const recipe: Recipe = {
    ...recipes.ci,
    scale: 'coverage',
    world: text.world,
    difficulty,
    noise,
    maxNewTokens,
    sft: text.sft,
    ...(engine ? { engine } : {}),
  };
  return {
    recipe,
    task: taskOf(world, tokenizerFiles, recipe),
    world,
    unrelated,
    encoder,
    comparisons: new ComparisonEncoder(encoder, { separators: worldSeparators }),
    artefact,
    sampling: { maxNewTokens, stopTokens: [encoder.eos!.id] },
  };
};
