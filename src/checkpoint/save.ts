// Saving: which files a checkpoint becomes and where each tensor lies in them (the weights' bytes
// are native code's work), and a folder that appears whole or not at all.
import { randomBytes } from 'node:crypto';
import { constants, copyFile, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AlignlabError, fromSystem } from '../errors.js';
import { isTokenizerFile, previousFolder } from './checkpoint.js';
import { indexFile, singleFile } from './index-file.js';
import type { JsonObject } from './json.js';
import { type WeightDtype, bytesPerElement, encodeHeader } from './safetensors.js';
import type { CheckpointTensor } from './slots.js';

export interface PlannedTensor extends CheckpointTensor {
  readonly dtype: WeightDtype;
  /** Absolute byte range in the file. */
  readonly begin: number;
  readonly end: number;
}

export interface PlannedFile {
  readonly name: string;
  /** The first bytes of the file; the tensors follow in order, without holes. */
  readonly header: Buffer;
  readonly size: number;
  readonly tensors: readonly PlannedTensor[];
}

export interface SavePlan {
  readonly files: readonly PlannedFile[];
  readonly texts: readonly { readonly name: string; readonly content: string }[];
  readonly copies: readonly { readonly from: string; readonly name: string }[];
}

export interface Savable {
  readonly config: JsonObject;
  readonly tensors: readonly CheckpointTensor[];
  /** The files that the model came from, if any. */
  readonly texts?: { readonly config: string; readonly generation: string | null };
  readonly folder?: string;
  readonly tokenizerFiles?: readonly string[];
}

export interface SaveOptions {
  readonly dtype: WeightDtype;
  readonly maxShardBytes?: number;
}

const torchNames = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' } as const;

/**
 * config.json with the dtype that is written. The file's own text is kept where it can be, since
 * JavaScript would write 1.0 as 1 and typed readers would refuse that.
 */
const configText = ({ config, texts }: Savable, dtype: WeightDtype): string => {
  const name = torchNames[dtype];
  const pattern = /("(?:torch_)?dtype"\s*:\s*)(?:"[^"\\]*"|null)/g;
  const found = texts?.config.match(pattern)?.length ?? 0;
  const key = Object.hasOwn(config, 'torch_dtype') ? 'torch_dtype' : 'dtype';
  const topLevel = [config.dtype, config.torch_dtype].filter((value) => value !== undefined);
  if (texts && found === topLevel.length) return texts.config.replace(pattern, `$1"${name}"`);
  return `${JSON.stringify({ ...config, [key]: name }, null, 2)}\n`;
};

const bytesOf = (shape: readonly number[], dtype: WeightDtype): number =>
  shape.reduce((product, size) => product * size, bytesPerElement(dtype));

/** Tensors in order, a new shard whenever the next would pass the limit. */
const split = (
  tensors: readonly CheckpointTensor[],
  { dtype, maxShardBytes = 5e9 }: SaveOptions,
): CheckpointTensor[][] => {
  const shards: CheckpointTensor[][] = [];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor.shape, dtype);
    if (shards.length === 0 || filled + bytes > maxShardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(tensor);
    filled += bytes;
  }
  return shards;
};

const planFile = (
  name: string,
  tensors: readonly CheckpointTensor[],
  dtype: WeightDtype,
): PlannedFile => {
  const { bytes, ranges, size } = encodeHeader(tensors.map((tensor) => ({ ...tensor, dtype })));
  const planned = tensors.flatMap((tensor, index) => {
    const range = ranges[index];
    return range ? [{ ...tensor, dtype, ...range }] : [];
  });
  return { name, header: bytes, size, tensors: planned };
};

const indexText = (files: readonly PlannedFile[]): string => {
  const entries = files.flatMap((file) => file.tensors.map((tensor) => ({ file, tensor })));
  const total = entries.reduce((sum, { tensor }) => sum + tensor.end - tensor.begin, 0);
  const names = entries.map(({ file, tensor }) => [tensor.name, file.name] as const);
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(names) };
  return `${JSON.stringify(index, null, 2)}\n`;
};

/** What saving a model writes; a model that came from a folder takes its tokenizer along. */
export const planSave = (model: Savable, options: SaveOptions): SavePlan => {
  const shards = split(model.tensors, options);
  const number = (n: number): string => String(n).padStart(5, '0');
  const files = shards.map((tensors, index) => {
    const part = `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
    return planFile(shards.length === 1 ? singleFile : part, tensors, options.dtype);
  });
  const { folder, tokenizerFiles = [], texts } = model;
  return {
    files,
    texts: [
      { name: 'config.json', content: configText(model, options.dtype) },
      ...(texts?.generation ? [{ name: 'generation_config.json', content: texts.generation }] : []),
      ...(files.length > 1 ? [{ name: indexFile, content: indexText(files) }] : []),
    ],
    copies: folder ? tokenizerFiles.map((name) => ({ from: join(folder, name), name })) : [],
  };
};

/** Writes the small files of a plan; the weights are written by native code. */
export const writeTexts = async (folder: string, plan: SavePlan): Promise<void> => {
  for (const { name, content } of plan.texts) {
    await using file = await open(join(folder, name), 'w').catch((cause: unknown) => {
      throw fromSystem(cause, `write ${join(folder, name)}`);
    });
    await file.writeFile(content);
  }
  for (const { from, name } of plan.copies) {
    await copyFile(from, join(folder, name), constants.COPYFILE_FICLONE).catch((cause: unknown) => {
      throw fromSystem(cause, `copy ${from} to ${folder}`);
    });
  }
};

/** Makes the contents of a file or the entries of a folder durable. */
const sync = async (path: string): Promise<void> => {
  await using file = await open(path, 'r');
  await file.sync();
};

const syncTree = async (folder: string): Promise<void> => {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else await sync(path);
  }
  await sync(folder);
};

const isCheckpointFile = (name: string): boolean =>
  isTokenizerFile(name) ||
  /^((config|generation_config)\.json|model[\w.-]*\.safetensors(\.index\.json)?)$/.test(name);

/** What stands at the target: nothing, a folder that may be replaced, or a reason to refuse. */
const inspectTarget = async (
  target: string,
  mayReplace: (name: string) => boolean,
): Promise<boolean> => {
  let names: string[];
  try {
    names = await readdir(target);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return false;
    throw fromSystem(cause, `save to ${target}`);
  }
  const foreign = names.find((name) => !mayReplace(name));
  if (foreign === undefined) return true;
  throw new AlignlabError(
    'OPTION_INVALID',
    `${target} holds "${foreign}", which is no part of a checkpoint and would be lost. ` +
      'Save to a new folder, or move the file away.',
  );
};

export interface SaveFolderOptions {
  /** Files besides a checkpoint's own that a replaced folder may hold. */
  readonly mayReplace?: (name: string) => boolean;
}

/**
 * Runs `write` on an empty folder beside `target` and puts it in the target's place when it is
 * complete and on disk. A failure leaves the target as it was. Where a target is replaced, its old
 * folder stands beside it as .NAME.previous for the moment between two renames; a process killed
 * in that moment loses nothing, and the next save puts it back first.
 */
export const saveFolder = async (
  path: string,
  write: (temporaryFolder: string) => Promise<void>,
  { mayReplace = () => false }: SaveFolderOptions = {},
): Promise<void> => {
  const target = resolve(path);
  const parent = dirname(target);
  const unique = `${process.pid}-${randomBytes(4).toString('hex')}`;
  const temporary = join(parent, `.${basename(target)}.saving-${unique}`);
  const previous = previousFolder(target);
  try {
    await mkdir(parent, { recursive: true });
    const allowed = (name: string): boolean => isCheckpointFile(name) || mayReplace(name);
    let replaces = await inspectTarget(target, allowed);
    if (replaces) await rm(previous, { recursive: true, force: true });
    else if (await inspectTarget(previous, () => true)) {
      await rename(previous, target);
      replaces = await inspectTarget(target, allowed);
    }
    await mkdir(temporary);
    await write(temporary);
    await syncTree(temporary);
    if (replaces) await rename(target, previous);
    await rename(temporary, target).catch(async (cause: unknown) => {
      if (replaces) await rename(previous, target);
      throw cause;
    });
    await sync(parent);
    await rm(previous, { recursive: true, force: true });
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    const known = cause instanceof Error && 'code' in cause && 'syscall' in cause;
    throw known ? fromSystem(cause, `save to ${target}`) : cause;
  }
};
