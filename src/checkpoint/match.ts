// Pairs the tensors that a model needs with those that a checkpoint has: each present once, with
// its exact shape and a usable dtype, and nothing left over that could mean something.
import { open } from 'node:fs/promises';
import { AlignlabError, fromSystem } from '../errors.js';
import type { ModelDescription } from './config.js';
import type { TensorLocation, TensorSource } from './index-file.js';
import { show } from './json.js';
import { type WeightDtype, isWeightDtype, readFully, weightDtypes } from './safetensors.js';
import type { CheckpointTensor } from './slots.js';

export interface LocatedTensor extends CheckpointTensor {
  readonly file: string;
  readonly dtype: WeightDtype;
  /** Absolute byte range in the file. */
  readonly begin: number;
  readonly end: number;
}

const invalid = (path: string, problem: string, wayOut: string): AlignlabError =>
  new AlignlabError('CHECKPOINT_INVALID', `${path}: ${problem}. ${wayOut}`);

const list = (names: readonly string[]): string =>
  names.slice(0, 3).map(show).join(', ') +
  (names.length > 3 ? ` and ${names.length - 3} more` : '');

/** The names as this file spells them: without the prefix in base-model files, head by any name. */
export const spelledAs = (
  { family, tensors }: ModelDescription,
  present: ReadonlyMap<string, unknown>,
): CheckpointTensor[] => {
  const { prefix, headNames } = family;
  const prefixed = [...present.keys()].some((name) => name.startsWith(prefix));
  const head = headNames.find((name) => present.has(name)) ?? headNames[0];
  return tensors.map((tensor) => {
    if (tensor.slot === 'head') return { ...tensor, name: head };
    if (prefixed || !tensor.name.startsWith(prefix)) return tensor;
    return { ...tensor, name: tensor.name.slice(prefix.length) };
  });
};

const locate = (
  path: string,
  tensor: CheckpointTensor,
  { file, dtype, shape, begin, end }: TensorLocation,
): LocatedTensor => {
  if (shape.length !== tensor.shape.length || shape.some((n, i) => n !== tensor.shape[i])) {
    throw invalid(
      path,
      `tensor "${tensor.name}" has shape [${shape.join(', ')}], ` +
        `config.json asks for [${tensor.shape.join(', ')}]`,
      'Use the config.json that belongs to these weights.',
    );
  }
  if (!isWeightDtype(dtype)) {
    throw invalid(
      path,
      `tensor "${tensor.name}" is ${dtype}; weights must be ${weightDtypes.join(', ')}`,
      'Convert the checkpoint to one of these.',
    );
  }
  return { ...tensor, file, dtype, begin, end };
};

const checkMissing = (
  { family, shape }: ModelDescription,
  expected: readonly CheckpointTensor[],
  source: TensorSource,
): void => {
  const missing = expected.filter(({ name }) => !source.tensors.has(name));
  if (missing.length === 0) return;
  const onlyHead = missing.every(({ slot }) => slot === 'head');
  throw invalid(
    source.path,
    `${missing.length} of ${expected.length} tensors of this ${family.modelType} model with ` +
      `${shape.layers} layers are missing: ${list(missing.map(({ name }) => name))}`,
    onlyHead
      ? 'If the embedding is the head, set "tie_word_embeddings": true in config.json.'
      : 'Fetch the checkpoint again, or use the config.json that belongs to it.',
  );
};

const checkExtra = (
  { family, shape }: ModelDescription,
  expected: readonly CheckpointTensor[],
  source: TensorSource,
): void => {
  const known = new Set(expected.map(({ name }) => name));
  const isHead = (name: string): boolean => shape.tiedHead && family.headNames.includes(name);
  const extra = [...source.tensors.keys()].filter(
    (name) =>
      !known.has(name) && !isHead(name) && !family.ignorable.some((pattern) => pattern.test(name)),
  );
  if (extra.length === 0) return;
  throw invalid(
    source.path,
    `${extra.length} tensors are not part of this ${family.modelType} model with ` +
      `${shape.layers} layers: ${list(extra)}`,
    'Use the config.json that belongs to these weights, or remove the tensors.',
  );
};

const sameBytes = async (a: TensorLocation, b: TensorLocation): Promise<boolean> => {
  if (a.dtype !== b.dtype || a.end - a.begin !== b.end - b.begin) return false;
  const chunk = 2 ** 22;
  await using first = await open(a.file, 'r');
  await using second = await open(b.file, 'r');
  for (let done = 0; done < a.end - a.begin; done += chunk) {
    const left = Buffer.alloc(Math.min(chunk, a.end - a.begin - done));
    const right = Buffer.alloc(left.length);
    await readFully(first, a.file, left, a.begin + done);
    await readFully(second, b.file, right, b.begin + done);
    if (!left.equals(right)) return false;
  }
  return true;
};

/**
 * A head in the file of a tied model must be the embedding again. Where it differs, versions of
 * transformers disagree on which of the two counts.
 */
const checkTiedHead = async (
  { family, shape }: ModelDescription,
  embed: LocatedTensor | undefined,
  source: TensorSource,
): Promise<void> => {
  if (!shape.tiedHead || shape.scalarOutputs > 0 || !embed) return;
  for (const name of family.headNames) {
    const head = source.tensors.get(name);
    if (!head) continue;
    const same = await sameBytes(embed, head).catch((cause: unknown) => {
      throw fromSystem(cause, `read tensor "${name}" of ${head.file}`);
    });
    if (same) continue;
    throw invalid(
      source.path,
      `config.json ties the head to the embedding, but "${name}" differs from "${embed.name}"`,
      `Set "tie_word_embeddings": false to use "${name}", or remove that tensor.`,
    );
  }
};

/** Every tensor of the model with its place in the files, in the order of the description. */
export const matchTensors = async (
  model: ModelDescription,
  source: TensorSource,
): Promise<LocatedTensor[]> => {
  const expected = spelledAs(model, source.tensors);
  checkMissing(model, expected, source);
  checkExtra(model, expected, source);
  const located = expected.flatMap((tensor) => {
    const location = source.tensors.get(tensor.name);
    return location ? [locate(source.path, tensor, location)] : [];
  });
  await checkTiedHead(model, located[0], source);
  return located;
};
