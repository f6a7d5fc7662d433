// What all stages work with: the world, its tokens, and models of given sizes.
import { join } from 'node:path';
import type { JsonObject } from '../../checkpoint/json.js';
import { LanguageModel } from '../../engine/model.js';
import type { EvaluationPrompt } from '../../evaluation/samples.js';
import { preferenceModelJudge } from '../../judges/preference-model.js';
import type { JudgeRole, PairJudge } from '../../judges/judge.js';
import { ComparisonEncoder } from '../../text/comparison.js';
import { Encoder } from '../../text/encoding.js';
import { Tokenizer } from '../../text/tokenizer.js';
import {
  type TokenizerFiles,
  type World,
  createWorld,
  modelConfigOf,
  writeTokenizer,
} from '../../worlds/index.js';
import type { Artefact, Study } from '../study.js';
import type { Recipe } from './recipe.js';

/** Marks that no text of a world holds twice, so that a preference model sees where parts begin. */
const separators = { beforePrompt: '::', beforeFirst: '!!', beforeSecond: '??', end: '!:' };

export interface Materials {
  readonly recipe: Recipe;
  readonly world: World;
  readonly tokenizerFiles: TokenizerFiles;
  readonly encoder: Encoder;
  readonly comparisons: ComparisonEncoder;
  /** Whose key stands for the world in other stages. */
  readonly artefact: Artefact;
  /** Of every policy, when data are made and when it is evaluated: temperature 1, no filters. */
  readonly sampling: { readonly maxNewTokens: number; readonly stopTokens: readonly number[] };
}

/** Models take the longest comparison: a prompt and two responses. */
const positions = 160;

export const openMaterials = async (study: Study, recipe: Recipe): Promise<Materials> => {
  const { difficulty, noise, maxNewTokens } = recipe;
  const world = createWorld(recipe.world, { difficulty, noise });
  const tokenizerFiles = world.tokenizer();
  const artefact = await study.stage({
    name: `world ${recipe.world}`,
    settings: { world: world.describe() },
    run: async ({ folder }) => {
      await writeTokenizer(folder, tokenizerFiles);
      return { tokens: tokenizerFiles.size };
    },
  });
  const encoder = new Encoder(await Tokenizer.load(artefact.folder));
  const end = encoder.eos!.id;
  return {
    recipe,
    world,
    tokenizerFiles,
    encoder,
    comparisons: new ComparisonEncoder(encoder, { separators }),
    artefact,
    sampling: { maxNewTokens, stopTokens: [end] },
  };
};

const scalarHead: JsonObject = {
  architectures: ['LlamaForSequenceClassification'],
  num_labels: 1,
  id2label: { 0: 'LABEL_0' },
  label2id: { LABEL_0: 0 },
};

const sizedConfig = ({ tokenizerFiles }: Materials, parameters: number) =>
  modelConfigOf({ vocabulary: tokenizerFiles.size, parameters, positions });

/** That a model of about so many has, besides the output of a preference model. */
export const parametersOf = (materials: Materials, about: number): number =>
  sizedConfig(materials, about).parameters;

/** A model with random weights: a policy, or a preference model with one output. */
export const newModel = (
  materials: Materials,
  kind: 'policy' | 'preference',
  parameters: number,
  seed: number | bigint,
): Promise<LanguageModel> => {
  const { config } = sizedConfig(materials, parameters);
  return LanguageModel.create(kind === 'policy' ? config : { ...config, ...scalarHead }, { seed });
};

const modelFolder = (folder: string): string => join(folder, 'model');

/** With its tokenizer, so that every command of alignlab takes the folder. */
export const saveModel = async (
  model: LanguageModel,
  { tokenizerFiles }: Materials,
  folder: string,
): Promise<void> => {
  await model.save(modelFolder(folder));
  await writeTokenizer(modelFolder(folder), tokenizerFiles);
};

export const weightsPath = ({ folder }: Artefact): string =>
  join(modelFolder(folder), 'model.safetensors');

export const loadModel = ({ folder }: Artefact, trainable = false): Promise<LanguageModel> =>
  LanguageModel.load(modelFolder(folder), { trainable });

/** The preference model of a stage as a judge, which disposes of the model. */
export const loadJudge = async <Role extends JudgeRole>(
  role: Role,
  artefact: Artefact,
  { comparisons }: Materials,
): Promise<PairJudge<Role>> =>
  preferenceModelJudge<Role>({
    role,
    name: artefact.name,
    version: artefact.key,
    model: await loadModel(artefact),
    encoder: comparisons,
    owned: true,
  });

export const promptsOf = (texts: readonly string[], encoder: Encoder): EvaluationPrompt[] =>
  texts.map((text) => ({ text, tokens: encoder.encodePrompt(text) }));
