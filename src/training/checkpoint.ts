// checkpoint-N: the model as transformers loads it and, beside it, what a resumed run needs to equal
// the uninterrupted one bit for bit. It is written under another name, made durable and renamed.
//
//   config.json, model.safetensors …   the policy, f32 master weights, with its tokenizer
//   optimizer/                         AdamW's moments and step
//   models/<name>/                     models besides the policy, with their optimizer/
//   source/                            what the source saves
//   trainer_state.json                 TrainState, its hash, sizes of files and of the run's logs
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isTokenizerFile } from '../checkpoint/checkpoint.js';
import { type JsonObject, isObject, readJsonFile } from '../checkpoint/json.js';
import { saveFolder } from '../checkpoint/save.js';
import type { PolicyModel } from '../engine/policy-model.js';
import { AlignlabError, fromSystem } from '../errors.js';
import { writeWhole } from './files.js';
import { exactJson, toJsonText } from './json-text.js';
import { formatVersion } from './manifest.js';
import type { CheckpointParts, TrainState } from './run.js';

const stateName = 'trainer_state.json';

/** Bytes by name. */
type Sizes = Readonly<Record<string, number>>;

export interface StoredCheckpoint {
  readonly folder: string;
  readonly state: TrainState;
  /** SHA-256 of the state. */
  readonly hash: string;
  /** How long the run's logs were when it was saved. */
  readonly logs: Sizes;
}

const hashOf = (state: TrainState): string =>
  createHash('sha256')
    .update(exactJson({ ...state }, 'The state'))
    .digest('hex');

export const checkpointFolder = (run: string, step: number): string =>
  join(run, `checkpoint-${step}`);

/** Steps of the checkpoints of a run, whole or not, ascending. */
export const listCheckpoints = async (run: string): Promise<number[]> => {
  const names = await readdir(run).catch((cause: unknown) => {
    throw fromSystem(cause, `list ${run}`);
  });
  return names
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
};

const filesBelow = async (folder: string): Promise<Record<string, number>> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes: Record<string, number> = {};
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    sizes[path.slice(folder.length + 1)] = (await stat(path)).size;
  }
  return sizes;
};

/** f32 holds what a bf16 model is too, so nothing is rounded. */
const saveModel = async (model: PolicyModel, folder: string): Promise<void> => {
  await model.save(folder, { dtype: 'F32' });
  if (model.trainable) await model.saveOptimizer(join(folder, 'optimizer'));
};

const loadModel = async (model: PolicyModel, folder: string): Promise<void> => {
  await model.loadWeights(folder);
  if (model.trainable) await model.loadOptimizer(join(folder, 'optimizer'));
};

const copyTokenizer = async (from: string, to: string): Promise<void> => {
  for (const name of (await readdir(from)).filter(isTokenizerFile)) {
    await copyFile(join(from, name), join(to, name));
  }
};

export interface WriteOptions {
  /** A folder whose tokenizer files the checkpoint takes along. */
  readonly tokenizer?: string;
  /** Sizes of the run's logs, asked for once the source has saved what it holds back. */
  readonly logSizes: () => Promise<Sizes>;
}

/** Writes checkpoint-N of the state's step and returns the state's hash. */
export const writeCheckpoint = async (
  run: string,
  { state, policy, models, source }: CheckpointParts,
  { tokenizer, logSizes }: WriteOptions,
): Promise<string> => {
  const hash = hashOf(state);
  const write = async (folder: string): Promise<void> => {
    await saveModel(policy, folder);
    if (tokenizer !== undefined) await copyTokenizer(tokenizer, folder);
    for (const [name, model] of Object.entries(models)) {
      await saveModel(model, join(folder, 'models', name));
    }
    if (source.save) {
      await mkdir(join(folder, 'source'));
      await source.save(join(folder, 'source'));
    }
    const files = await filesBelow(folder);
    const logs = await logSizes();
    const rest = toJsonText({ format: formatVersion, hash, logs, files }, 1).slice(0, -2);
    const text = `${rest},\n "state": ${exactJson({ ...state }, 'The state')}\n}\n`;
    await writeWhole(join(folder, stateName), text);
  };
  // One of this name can only be a damaged one, which no run goes on from.
  await saveFolder(checkpointFolder(run, state.step), write, { mayReplace: () => true });
  return hash;
};

const damaged = (folder: string, what: string): AlignlabError =>
  new AlignlabError(
    'CHECKPOINT_INVALID',
    `${folder} is not whole: ${what}. Resume from an older checkpoint, or put the file back.`,
  );

const isState = (value: unknown): value is TrainState =>
  isObject(value) &&
  Number.isSafeInteger(value.step) &&
  Number.isSafeInteger(value.tokens) &&
  isObject(value.parts);

const sizesIn = (folder: string, value: JsonObject, key: string): Sizes => {
  const sizes = value[key];
  if (isObject(sizes) && Object.values(sizes).every(Number.isSafeInteger)) return sizes as Sizes;
  throw damaged(folder, `"${key}" of ${stateName} is no list of sizes`);
};

/** Reads trainer_state.json and checks that every file is there. Throws CHECKPOINT_INVALID. */
export const readCheckpointState = async (folder: string): Promise<StoredCheckpoint> => {
  const file = await readJsonFile(join(folder, stateName), 'CHECKPOINT_INVALID');
  if (!file) throw damaged(folder, `it has no ${stateName}`);
  const { format, hash, state } = file.value;
  if (format !== formatVersion) {
    throw damaged(folder, `its format is ${String(format)}, this version reads ${formatVersion}`);
  }
  if (!isState(state) || hashOf(state) !== hash) {
    throw damaged(folder, `the state in ${stateName} does not have the hash ${String(hash)}`);
  }
  for (const [name, size] of Object.entries(sizesIn(folder, file.value, 'files'))) {
    const found = await stat(join(folder, name)).catch(() => null);
    if (found?.size === size) continue;
    throw damaged(folder, `${name} has ${found?.size ?? 'no'} bytes instead of ${size}`);
  }
  return { folder, state, hash, logs: sizesIn(folder, file.value, 'logs') };
};

/** The newest checkpoint that is whole; null when there is none. */
export const newestCheckpoint = async (run: string): Promise<StoredCheckpoint | null> => {
  for (const step of (await listCheckpoints(run)).reverse()) {
    try {
      return await readCheckpointState(checkpointFolder(run, step));
    } catch (error) {
      if (error instanceof AlignlabError && error.code === 'CHECKPOINT_INVALID') continue;
      throw error;
    }
  }
  return null;
};

const checkModels = (
  { folder, names }: { folder: string; names: readonly string[] },
  models: CheckpointParts['models'],
): void => {
  const asked = Object.keys(models).sort();
  if (names.join() === asked.join()) return;
  throw new AlignlabError(
    'RUN_INVALID',
    `${folder} holds the models [${names.join(', ')}] besides the policy, the run has ` +
      `[${asked.join(', ')}]. Resume with the settings that the run began with.`,
  );
};

/** Puts weights, moments and the source back as they were. The models must be of the same shape. */
export const restoreCheckpoint = async (
  { folder, state }: StoredCheckpoint,
  { policy, models, source }: Omit<CheckpointParts, 'state'>,
): Promise<void> => {
  const names = await readdir(join(folder, 'models')).catch(() => []);
  checkModels({ folder, names: names.sort() }, models);
  await loadModel(policy, folder);
  for (const [name, model] of Object.entries(models)) {
    await loadModel(model, join(folder, 'models', name));
  }
  source.restore(state.source);
  await source.load?.(join(folder, 'source'));
};

/** Takes a folder out of sight at once, then deletes it: a killed process leaves no half of it. */
const removeCheckpoint = async (run: string, step: number): Promise<void> => {
  const unique = `${process.pid}-${randomBytes(4).toString('hex')}`;
  const aside = join(run, `.checkpoint-${step}.removing-${unique}`);
  try {
    await rename(checkpointFolder(run, step), aside);
    await rm(aside, { recursive: true, force: true });
  } catch (cause) {
    throw fromSystem(cause, `remove ${checkpointFolder(run, step)}`);
  }
};

export const removeCheckpointsAfter = async (run: string, step: number): Promise<void> => {
  for (const later of (await listCheckpoints(run)).filter((other) => other > step)) {
    await removeCheckpoint(run, later);
  }
};

/** Keeps the newest `limit` checkpoints. */
export const pruneCheckpoints = async (run: string, limit: number): Promise<void> => {
  for (const step of (await listCheckpoints(run)).slice(0, -limit)) {
    await removeCheckpoint(run, step);
  }
};

/** What a killed process left half-written or half-removed. */
export const removeLeftovers = async (run: string): Promise<void> => {
  for (const name of await readdir(run)) {
    if (
      !/^\.+(checkpoint-\d+|manifest\.json|config\.yaml)\.(saving|removing|previous)/.test(name)
    ) {
      continue;
    }
    await rm(join(run, name), { recursive: true, force: true });
  }
};
