// Weights, gradients and optimiser state to files and back.
import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import type { ModelDescription } from '../checkpoint/config.js';
import { type WeightDtype, encodeHeader, openSafetensors } from '../checkpoint/safetensors.js';
import { planSave, saveFolder, writeTexts } from '../checkpoint/save.js';
import { AlignlabError, fromSystem } from '../errors.js';
import type { ModelHandle } from './handle.js';
import { type TensorSet, guarded } from './native.js';
import { rangesOfFile, rangesToWrite } from './tensors.js';

export interface SaveOptions {
  /** Default: f32 for trainable models, else as loaded. */
  readonly dtype?: WeightDtype;
  readonly maxShardBytes?: number;
  readonly signal?: AbortSignal;
}

const checkSaveOptions = ({ dtype, maxShardBytes = Infinity }: SaveOptions): void => {
  if (dtype !== 'F32' && dtype !== 'BF16' && dtype !== 'F16') {
    throw new AlignlabError(
      'OPTION_INVALID',
      `dtype must be 'F32', 'BF16' or 'F16', got ${String(dtype)}.`,
    );
  }
  if (!(maxShardBytes > 0)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `maxShardBytes must be a number above 0, got ${String(maxShardBytes)}.`,
    );
  }
};

export const saveModel = async (
  handle: ModelHandle,
  { config, tensors }: ModelDescription,
  source: Checkpoint | null,
  folder: string,
  options: SaveOptions & { readonly dtype: WeightDtype },
): Promise<void> => {
  const { dtype, maxShardBytes, signal } = options;
  checkSaveOptions(options);
  handle.requireUse();
  signal?.throwIfAborted();
  const plan = planSave(
    { config, tensors, ...source },
    { dtype, ...(maxShardBytes === undefined ? {} : { maxShardBytes }) },
  );
  await saveFolder(folder, async (temporary) => {
    await writeTexts(temporary, plan);
    for (const { name, header, tensors: inFile } of plan.files) {
      await handle.run((model) => {
        const ranges = rangesToWrite(inFile, model.slotNames(), dtype);
        return model.write('weights', ranges, join(temporary, name), header);
      }, signal);
    }
  });
};

/** One set in f32 under the checkpoint's names; the file appears whole or not at all. */
export const writeTensorSet = async (
  handle: ModelHandle,
  { tensors }: ModelDescription,
  set: TensorSet,
  path: string,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> => {
  const { bytes } = encodeHeader(
    tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const })),
    metadata,
  );
  const unique = `${process.pid}-${randomBytes(4).toString('hex')}`;
  const temporary = join(dirname(path), `.${basename(path)}.saving-${unique}`);
  try {
    await handle.run((model) => {
      const ranges = rangesToWrite(tensors, model.slotNames(), 'F32');
      return model.write(set, ranges, temporary, bytes);
    });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    const known = error instanceof Error && 'syscall' in error;
    throw known ? fromSystem(error, `write ${path}`) : error;
  }
};

const momentSets = ['moment1', 'moment2'] as const;
const momentFile = (folder: string, set: TensorSet): string =>
  join(folder, `adamw-${set}.safetensors`);

export const saveMoments = async (
  handle: ModelHandle,
  description: ModelDescription,
  folder: string,
): Promise<void> => {
  const metadata = { step: String(guarded(() => handle.native.step)) };
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw fromSystem(cause, `save to ${folder}`);
  });
  for (const set of momentSets) {
    await writeTensorSet(handle, description, set, momentFile(folder, set), metadata);
  }
};

const openMoments = async ({ tensors }: ModelDescription, path: string) => {
  const file = await openSafetensors(path);
  const step = Number(file.metadata.step ?? NaN);
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new AlignlabError(
      'CHECKPOINT_INVALID',
      `${path} does not say after which step it was written. Was it made by saveOptimizer()?`,
    );
  }
  const located = tensors.map((tensor) => {
    const found = file.tensors.get(tensor.name);
    if (found?.shape.join() !== tensor.shape.join() || found.dtype !== 'F32') {
      throw new AlignlabError(
        'CHECKPOINT_INVALID',
        `${path}: tensor ${tensor.name} is missing or of another shape. ` +
          'Load the optimiser state of this very model.',
      );
    }
    return { ...tensor, file: path, dtype: 'F32' as const, begin: found.begin };
  });
  return { step, located };
};

/** Both files are checked before either is taken over. */
export const loadMoments = async (
  handle: ModelHandle,
  description: ModelDescription,
  folder: string,
): Promise<void> => {
  const opened = await Promise.all(
    momentSets.map(async (set) => ({
      set,
      ...(await openMoments(description, momentFile(folder, set))),
    })),
  );
  const steps = new Set(opened.map(({ step }) => step));
  if (steps.size !== 1) {
    throw new AlignlabError(
      'CHECKPOINT_INVALID',
      `The two files of optimiser state in ${folder} are of different steps (${[...steps].join(', ')}). ` +
        'Take a folder that was saved completely.',
    );
  }
  for (const { set, step, located } of opened) {
    await handle.run((model) => model.read(set, rangesOfFile(located, model.slotNames())));
    guarded(() => (handle.native.step = step));
  }
};
