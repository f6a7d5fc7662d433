// The study on a world: pairs from a seeded grammar, labels of a hidden rater, models with random
// weights.
import type { JsonObject } from '../../checkpoint/json.js';
import { derivedSeed } from '../../data/random.js';
import { LanguageModel } from '../../engine/model.js';
import { ComparisonEncoder } from '../../text/comparison.js';
import { Encoder } from '../../text/encoding.js';
import { Tokenizer } from '../../text/tokenizer.js';
import {
  type PreferenceRecord,
  type TokenizerFiles,
  type World,
  type WorldName,
  createWorld,
  modelConfigOf,
  writeTokenizer,
} from '../../worlds/index.js';
import type { Stages } from '../study.js';
import type { Recipe } from './recipe.js';
import { type Materials, type Task, worldSeed, worldSeparators } from './task.js';

/** Models take the longest comparison: a prompt and two responses. */
const positions = 160;

const scalarHead: JsonObject = {
  architectures: ['LlamaForSequenceClassification'],
  num_labels: 1,
  id2label: { 0: 'LABEL_0' },
  label2id: { LABEL_0: 0 },
};

const initialPairs = (world: World, recipe: Recipe): readonly PreferenceRecord[] => {
  const { pairs, validation, prompts } = recipe;
  const seed = derivedSeed(worldSeed, 'initial');
  const shared = prompts && world.prompts('train', prompts, derivedSeed(worldSeed, 'prompts'));
  return world.preferences(pairs + validation, seed, {}, shared ? { prompts: shared } : {});
};

export const taskOf = (world: World, tokenizerFiles: TokenizerFiles, recipe: Recipe): Task => {
  const sized = (parameters: number) =>
    modelConfigOf({ vocabulary: tokenizerFiles.size, parameters, positions });
  return {
    pairs: () => Promise.resolve(initialPairs(world, recipe)),
    rate: (prompt, response) => world.rate(prompt, response).golden,
    parametersOf: (about) => sized(about).parameters,
    newModel: (kind, parameters, seed) => {
      const { config } = sized(parameters);
      const options = { seed, ...recipe.engine };
      return LanguageModel.create(
        kind === 'policy' ? config : { ...config, ...scalarHead },
        options,
      );
    },
    saveTokenizer: (folder) => writeTokenizer(folder, tokenizerFiles),
  };
};

export const openWorld = async (
  stages: Stages,
  recipe: Recipe,
  name: WorldName,
): Promise<Materials> => {
  const { difficulty, noise, maxNewTokens, engine } = recipe;
  const world = createWorld(name, { difficulty, noise });
  const tokenizerFiles = world.tokenizer();
  const artefact = await stages.stage({
    name: `world ${name}`,
    settings: { world: world.describe(), ...(engine ? { engine: { ...engine } } : {}) },
    run: async ({ folder }) => {
      await writeTokenizer(folder, tokenizerFiles);
      return { tokens: tokenizerFiles.size };
    },
  });
  const encoder = new Encoder(await Tokenizer.load(artefact.folder));
  return {
    recipe,
    task: taskOf(world, tokenizerFiles, recipe),
    encoder,
    comparisons: new ComparisonEncoder(encoder, { separators: worldSeparators }),
    artefact,
    sampling: { maxNewTokens, stopTokens: [encoder.eos!.id] },
  };
};
