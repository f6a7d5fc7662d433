// Folders of models, as commands name them.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dtype } from '../engine/load.js';
import { AlignlabError } from '../errors.js';
import { newestCheckpoint } from '../training/checkpoint.js';
import { invalid } from './config/layers.js';

const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const looksLikeHub = (name: string): boolean => /^[\w.-]+\/[\w.-]+$/.test(name);

/**
 * The folder of a checkpoint; of a run folder, its newest checkpoint. Throws CHECKPOINT_NOT_FOUND
 * with the way out for what is not there, such as the name of a model on a hub.
 */
export const modelFolder = async (name: string): Promise<string> => {
  if (await exists(join(name, 'config.json'))) return name;
  if (await exists(join(name, 'manifest.json'))) {
    const newest = await newestCheckpoint(name);
    if (newest) return newest.folder;
    throw new AlignlabError(
      'CHECKPOINT_NOT_FOUND',
      `${name} is a run folder without a whole checkpoint. Let the run save one first.`,
    );
  }
  if (await exists(name)) {
    throw new AlignlabError(
      'CHECKPOINT_NOT_FOUND',
      `${name} has no config.json. Give the folder of a Hugging Face checkpoint, or a run folder.`,
    );
  }
  const hub = looksLikeHub(name)
    ? ` If it is a name on the Hugging Face hub, download it first: hf download ${name} ` +
      `--local-dir ${name.split('/')[1] ?? name}; then give that folder.`
    : '';
  throw new AlignlabError('CHECKPOINT_NOT_FOUND', `There is no folder ${name}.${hub}`);
};

const dtypes: Readonly<Record<string, Dtype | undefined>> = {
  auto: undefined,
  float32: 'f32',
  f32: 'f32',
  bfloat16: 'bf16',
  bf16: 'bf16',
};

export const dtypeOf = (name: string): Dtype | undefined => {
  if (Object.hasOwn(dtypes, name)) return dtypes[name];
  throw invalid(`--dtype must be one of ${Object.keys(dtypes).join(', ')}, got "${name}".`);
};
