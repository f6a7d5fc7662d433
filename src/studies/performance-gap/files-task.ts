// The study on files: a checkpoint is every model's start, and the pairs bring labels of their own.
//
// The golden model is the whole checkpoint under a scalar head. The proxy is its first blocks under
// a head of its own, half of them unless the recipe says otherwise: a single checkpoint has no
// smaller relative, as the paper takes one, and the early blocks of a language model are the part
// that reads best without the rest, since each block only adds to what the blocks before it left.
// A policy cannot be cut like that: the vocabulary head reads the last block.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { filesHash } from '../../data/content-hash.js';
import { LanguageModel } from '../../engine/model.js';
import { AlignlabError, fromSystem } from '../../errors.js';
import type { PreferenceRecord } from '../../worlds/index.js';
import type { Artefact, Stages } from '../study.js';
import {
  type OpenFiles,
  type PairCounts,
  type RecipeFiles,
  openTexts,
  readPairs,
  toldCounts,
} from './files.js';
import type { Recipe } from './recipe.js';
import type { Materials, Task } from './task.js';

/** Parameters of the language model with its first so many blocks. */
export const parametersWith = (
  { slots, shape, parameters }: Checkpoint,
  blocks: number,
): number => {
  const inBlocks = slots
    .filter(({ name }) => name.startsWith('layers.'))
    .reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  return parameters - (inBlocks / shape.layers) * (shape.layers - blocks);
};

/** Whose parameters come nearest. */
export const blocksOf = (checkpoint: Checkpoint, parameters: number): number => {
  const distance = (blocks: number): number =>
    Math.abs(parametersWith(checkpoint, blocks) - parameters);
  const all = Array.from({ length: checkpoint.shape.layers }, (_, i) => i + 1);
  return all.reduce((a, b) => (distance(b) < distance(a) ? b : a));
};

/** SHA-256 of everything in the folder that decides what the model and its tokenizer do. */
const hashOf = ({ folder, tensors, tokenizerFiles, texts }: Checkpoint): Promise<string> => {
  const weights = [...new Set(tensors.map(({ file }) => file))].sort();
  const settings = [
    'config.json',
    ...(texts.generation === null ? [] : ['generation_config.json']),
  ];
  return filesHash([
    ...weights,
    ...[...settings, ...tokenizerFiles].map((name) => join(folder, name)),
  ]);
};

const pairsFile = 'pairs.json';

export interface FilesResult extends PairCounts {
  readonly blocks: number;
  readonly proxyBlocks: number;
  readonly modelHash: string;
  readonly [key: string]: unknown;
}

/** Throws DATA_INVALID where the recipe asks for more pairs than there are. */
const filesStage = async (
  stages: Stages,
  recipe: Recipe,
  files: OpenFiles,
): Promise<Artefact<FilesResult>> => {
  const { checkpoint, settings } = files;
  const { pairs: learnt, validation, maxNewTokens, engine, proxy } = recipe;
  const model = await hashOf(checkpoint);
  return stages.stage<FilesResult>({
    name: 'files',
    settings: {
      ...settings,
      model,
      wanted: learnt + validation,
      maxNewTokens,
      ...(engine ? { engine: { ...engine } } : {}),
    },
    run: async ({ folder }) => {
      const { pairs, counts } = await readPairs(files, learnt + validation);
      if (pairs.length < learnt + validation) {
        throw new AlignlabError(
          'DATA_INVALID',
          `The recipe asks for ${learnt} pairs and ${validation} held-out ones, and ` +
            `${toldCounts(counts)}. Lower pairs, validation and dataset of the recipe (the command ` +
            'does it by itself), raise maxNewTokens, or give more pairs.',
        );
      }
      await writeFile(join(folder, pairsFile), JSON.stringify(pairs));
      return {
        ...counts,
        blocks: checkpoint.shape.layers,
        proxyBlocks: blocksOf(checkpoint, proxy.parameters),
        modelHash: model,
      };
    },
  });
};

const taskOf = (checkpoint: Checkpoint, recipe: Recipe, { folder }: Artefact): Task => ({
  pairs: async () =>
    JSON.parse(await readFile(join(folder, pairsFile), 'utf8')) as PreferenceRecord[],
  rate: null,
  parametersOf: (about) => parametersWith(checkpoint, blocksOf(checkpoint, about)),
  newModel: (kind, parameters) => {
    const blocks = blocksOf(checkpoint, parameters);
    return LanguageModel.load(checkpoint.folder, {
      ...recipe.engine,
      ...(blocks === checkpoint.shape.layers ? {} : { blocks }),
      ...(kind === 'preference' ? { scalarHead: 1 } : {}),
    });
  },
  saveTokenizer: async (target) => {
    await mkdir(target, { recursive: true });
    for (const name of checkpoint.tokenizerFiles) {
      await copyFile(join(checkpoint.folder, name), join(target, name)).catch((cause: unknown) => {
        throw fromSystem(cause, `copy ${name} of the tokenizer`);
      });
    }
  },
});

export const openFiles = async (
  stages: Stages,
  recipe: Recipe,
  files: RecipeFiles,
): Promise<Materials> => {
  const open = await openTexts(files, recipe.maxNewTokens);
  const { checkpoint, encoder, comparisons, stopTokens } = open;
  const artefact = await filesStage(stages, recipe, open);
  return {
    recipe,
    task: taskOf(checkpoint, recipe, artefact),
    encoder,
    comparisons,
    artefact,
    sampling: { maxNewTokens: recipe.maxNewTokens, stopTokens },
  };
};
