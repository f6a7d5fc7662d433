// The materials of a recipe, and the models, judges and prompts that stages make of them.
import { join } from 'node:path';
import { LanguageModel } from '../../engine/model.js';
import { AlignlabError } from '../../errors.js';
import type { EvaluationPrompt } from '../../evaluation/samples.js';
import type { JudgeRole, PairJudge } from '../../judges/judge.js';
import { preferenceModelJudge } from '../../judges/preference-model.js';
import type { Encoder } from '../../text/encoding.js';
import type { Artefact, Stages } from '../study.js';
import { openFiles } from './files-task.js';
import type { Recipe } from './recipe.js';
import type { Materials, ModelKind } from './task.js';
import { openWorld } from './world-task.js';

export type { Materials } from './task.js';

/** Throws OPTION_INVALID for a recipe with both a world and files, or neither. */
export const openMaterials = (stages: Stages, recipe: Recipe): Promise<Materials> => {
  const { world, files } = recipe;
  if (world !== null && !files) return openWorld(stages, recipe, world);
  if (world === null && files) return openFiles(stages, recipe, files);
  throw new AlignlabError(
    'OPTION_INVALID',
    `The recipe has ${files ? 'both a world and files' : 'neither a world nor files'}. Give a ` +
      'world, or files with world: null.',
  );
};

/** That a model of about so many has, besides the output of a preference model. */
export const parametersOf = ({ task }: Materials, about: number): number =>
  task.parametersOf(about);

/** Where training begins: a policy, or a preference model with one output. */
export const newModel = (
  { task }: Materials,
  kind: ModelKind,
  parameters: number,
  seed: number | bigint,
): Promise<LanguageModel> => task.newModel(kind, parameters, seed);

/** Where the model of an artefact's folder is. */
export const modelFolder = (folder: string): string => join(folder, 'model');

/** With its tokenizer, so that every command of alignlab takes the folder. */
export const saveModel = async (
  model: LanguageModel,
  { task }: Materials,
  folder: string,
): Promise<void> => {
  await model.save(modelFolder(folder));
  await task.saveTokenizer(modelFolder(folder));
};

export const weightsPath = ({ folder }: Artefact): string =>
  join(modelFolder(folder), 'model.safetensors');

export const loadModel = (
  { folder }: Artefact,
  { recipe }: Materials,
  trainable = false,
): Promise<LanguageModel> =>
  LanguageModel.load(modelFolder(folder), { trainable, ...recipe.engine });

/** The preference model of a stage as a judge, which disposes of the model. */
export const loadJudge = async <Role extends JudgeRole>(
  role: Role,
  artefact: Artefact,
  materials: Materials,
): Promise<PairJudge<Role>> =>
  preferenceModelJudge<Role>({
    role,
    name: artefact.name,
    version: artefact.key,
    model: await loadModel(artefact, materials),
    encoder: materials.comparisons,
    owned: true,
  });

export const promptsOf = (texts: readonly string[], encoder: Encoder): EvaluationPrompt[] =>
  texts.map((text) => ({ text, tokens: encoder.encodePrompt(text) }));
