// All tensors of a checkpoint, from one model.safetensors or from the shards that
// model.safetensors.index.json lists.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { AlignlabError } from '../errors.js';
import { isObject, readJsonFile, show } from './json.js';
import { type TensorEntry, openSafetensors } from './safetensors.js';

export interface TensorLocation extends TensorEntry {
  readonly file: string;
}

export interface TensorSource {
  /** The file or index that messages name. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorLocation>;
}

export const singleFile = 'model.safetensors';
export const indexFile = 'model.safetensors.index.json';

const invalid = (path: string, problem: string, wayOut: string): AlignlabError =>
  new AlignlabError('CHECKPOINT_INVALID', `${path}: ${problem}. ${wayOut}`);

const fetchAgain = 'Fetch or save the checkpoint again.';

/** Shards stand beside the index: names with a path in them could reach other folders. */
const isShardName = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Za-z0-9_][\w.-]*\.safetensors$/.test(value);

const readWeightMap = (path: string, weightMap: unknown): Map<string, string> => {
  if (!isObject(weightMap) || Object.keys(weightMap).length === 0) {
    throw invalid(
      path,
      `"weight_map" is ${show(weightMap)}, expected an object from tensor names to shards`,
      fetchAgain,
    );
  }
  const shards = new Map<string, string>();
  for (const [name, shard] of Object.entries(weightMap)) {
    if (!isShardName(shard)) {
      throw invalid(
        path,
        `tensor ${show(name)} is said to be in ${show(shard)}, ` +
          'which is not the plain name of a .safetensors file beside the index',
        fetchAgain,
      );
    }
    shards.set(name, shard);
  }
  return shards;
};

const openShards = async (folder: string, path: string): Promise<TensorSource> => {
  const index = await readJsonFile(path, 'CHECKPOINT_INVALID');
  const weightMap = readWeightMap(path, index?.value.weight_map);
  const tensors = new Map<string, TensorLocation>();
  const owner = new Map<string, string>();
  for (const shard of new Set(weightMap.values())) {
    const file = await openSafetensors(join(folder, shard));
    for (const [name, entry] of file.tensors) {
      const other = owner.get(name);
      if (other !== undefined) {
        throw invalid(path, `tensor ${show(name)} is in both ${other} and ${shard}`, fetchAgain);
      }
      owner.set(name, shard);
      tensors.set(name, { ...entry, file: file.path });
    }
  }
  for (const [name, shard] of weightMap) {
    if (owner.get(name) === shard) continue;
    throw invalid(path, `tensor ${show(name)} is not in ${shard}, where it should be`, fetchAgain);
  }
  return { path, tensors };
};

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** A single file wins over an index beside it, as in transformers. */
export const openTensors = async (folder: string): Promise<TensorSource> => {
  const single = join(folder, singleFile);
  if (await exists(single)) {
    const file = await openSafetensors(single);
    const located = [...file.tensors].map(
      ([name, entry]) => [name, { ...entry, file: single }] as const,
    );
    return { path: single, tensors: new Map(located) };
  }
  const index = join(folder, indexFile);
  if (await exists(index)) return openShards(folder, index);
  const pickled = await exists(join(folder, 'pytorch_model.bin'));
  throw new AlignlabError(
    'CHECKPOINT_NOT_FOUND',
    `${folder} has neither ${singleFile} nor ${indexFile}. ` +
      (pickled
        ? 'It has pytorch_model.bin; convert it with save_pretrained(..., safe_serialization=True).'
        : 'Check that it is the folder of a Hugging Face checkpoint with its weights downloaded.'),
  );
};
