// From a checkpoint or a config to a native model with weights in it.
import { type Checkpoint, readCheckpoint } from '../checkpoint/checkpoint.js';
import { type ModelDescription, describeModel } from '../checkpoint/config.js';
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { type Device, type DeviceName, deviceName, deviceNumber } from './device.js';
import { ModelHandle } from './handle.js';
import { guarded, native } from './native.js';
import { rangesOfFile } from './tensors.js';

export type Dtype = 'f32' | 'bf16';

export interface ModelOptions {
  /** Default 'auto'. */
  readonly device?: Device;
  /**
   * true, the default: what samples, scores and differentiates gives the same bits for the same
   * tokens. false lets the device be faster without that promise, where it can: on a GPU large
   * products go to cuBLASLt, if it is there, or else to Hopper's own instructions, which also take
   * the attention of long runs, forward and backward; on the CPU it changes nothing. The model's
   * `exact` says what it is, and training logs the mismatch (`sampling/sampling_logp_difference`).
   */
  readonly exact?: boolean;
  /** Of weights and activations in the products. Default: as the checkpoint, bf16 for f16. */
  readonly dtype?: Dtype;
  /** false leaves out master weights and gradients. Default true. */
  readonly trainable?: boolean;
  readonly signal?: AbortSignal;
}

export interface LoadOptions extends ModelOptions {
  /** Put a new scalar head with this many outputs on a language model's backbone. */
  readonly scalarHead?: number;
  /** Only the first so many blocks of the checkpoint, the final norm after them. */
  readonly blocks?: number;
}

export interface CreateOptions extends ModelOptions {
  /** Of the random weights. Default 0. */
  readonly seed?: number | bigint;
}

export interface LoadedModel {
  readonly handle: ModelHandle;
  readonly description: ModelDescription;
  /** The folder it came from, unless its head was changed. */
  readonly source: Checkpoint | null;
  readonly dtype: Dtype;
  readonly trainable: boolean;
  readonly device: DeviceName;
  readonly exact: boolean;
}

export const checkDtype = (dtype: string): void => {
  if (dtype === 'f32' || dtype === 'bf16') return;
  throw new AlignlabError('OPTION_INVALID', `dtype must be 'f32' or 'bf16', got ${dtype}.`);
};

const checkSeed = (seed: number | bigint): void => {
  if (typeof seed === 'bigint' || Number.isSafeInteger(seed)) return;
  throw new AlignlabError('OPTION_INVALID', `seed must be a whole number, got ${String(seed)}.`);
};

/** The same backbone under a ...ForSequenceClassification head. */
const withScalarHead = (model: ModelDescription, outputs: number): ModelDescription => {
  if (!Number.isInteger(outputs) || outputs < 1) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `scalarHead must be the number of outputs, 1 or more, got ${String(outputs)}.`,
    );
  }
  const labels = Object.fromEntries(
    Array.from({ length: outputs }, (_, i) => [String(i), `LABEL_${i}`]),
  );
  const { id2label: _ids, label2id: _labels, ...rest } = model.config;
  const config = {
    ...rest,
    architectures: [`${model.family.classStem}ForSequenceClassification`],
    num_labels: outputs,
    id2label: labels,
    label2id: Object.fromEntries(Object.entries(labels).map(([id, label]) => [label, Number(id)])),
  };
  return describeModel(config, 'the config with scalarHead');
};

/** The same model with its first blocks only. */
const withBlocks = (model: ModelDescription, blocks: number): ModelDescription => {
  const { family, shape, config } = model;
  if (!Number.isInteger(blocks) || blocks < 1 || blocks > shape.layers) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `blocks must be a whole number from 1 to ${shape.layers}, which the checkpoint has, got ` +
        `${String(blocks)}.`,
    );
  }
  const { layer_types: types } = config;
  const own = Array.isArray(types) ? { layer_types: types.slice(0, blocks) } : {};
  return describeModel({ ...config, [family.layersKey]: blocks, ...own }, 'the config with blocks');
};

/** As the options ask for it; null where that is the checkpoint as it is. */
const changedBy = (
  checkpoint: Checkpoint,
  { scalarHead, blocks }: LoadOptions,
): ModelDescription | null => {
  if (scalarHead === undefined && blocks === undefined) return null;
  const cut = blocks === undefined ? checkpoint : withBlocks(checkpoint, blocks);
  return scalarHead === undefined ? cut : withScalarHead(cut, scalarHead);
};

const checkExact = (exact: unknown): void => {
  if (typeof exact === 'boolean') return;
  throw new AlignlabError('OPTION_INVALID', `exact must be true or false, got ${String(exact)}.`);
};

const makeHandle = (
  { shape }: ModelDescription,
  { dtype, trainable, device, exact }: Omit<LoadedModel, 'handle' | 'description' | 'source'>,
): ModelHandle => {
  checkDtype(dtype);
  checkExact(exact);
  const { NativeModel } = native();
  const number = deviceNumber(device);
  return new ModelHandle(guarded(() => new NativeModel(shape, dtype, trainable, number, exact)));
};

/** Fills a new handle; a failure disposes it. */
const filled = async (handle: ModelHandle, fill: () => Promise<void>): Promise<ModelHandle> => {
  try {
    await fill();
    return handle;
  } catch (error) {
    await handle.dispose();
    throw error;
  }
};

/** Standard deviation of fresh weights when the config does not say. */
const defaultDeviation = 0.02;

const deviationOf = ({ initializer_range: range }: JsonObject): number =>
  typeof range === 'number' && range >= 0 ? range : defaultDeviation;

export const loadModel = async (folder: string, options: LoadOptions): Promise<LoadedModel> => {
  const { trainable = true, exact = true, scalarHead, signal } = options;
  const device = deviceName(options.device);
  const checkpoint = await readCheckpoint(folder);
  const dtype = options.dtype ?? (checkpoint.dtype === 'F32' ? 'f32' : 'bf16');
  const changed = changedBy(checkpoint, options);
  const description = changed ?? checkpoint;
  const settings = { dtype, trainable, device, exact };
  const handle = makeHandle(description, settings);
  await filled(handle, async () => {
    if (scalarHead !== undefined) {
      const deviation = deviationOf(description.config);
      await handle.run((model) => model.initialise(0n, deviation), signal);
    }
    const replaced = scalarHead === undefined ? [] : ['head', 'scalar'];
    const wanted = new Set(description.slots.map(({ name }) => name));
    const tensors = checkpoint.tensors.filter(
      ({ slot }) => wanted.has(slot) && !replaced.includes(slot),
    );
    await handle.run(
      (model) => model.read('weights', rangesOfFile(tensors, model.slotNames())),
      signal,
    );
  });
  const source = changed ? null : checkpoint;
  return { ...settings, handle, description, source, exact: handle.native.exact() };
};

export const createModel = async (
  config: JsonObject,
  { dtype = 'f32', trainable = true, exact = true, seed = 0, signal, ...rest }: CreateOptions,
): Promise<LoadedModel> => {
  const device = deviceName(rest.device);
  checkSeed(seed);
  const description = describeModel(config, 'the config');
  const settings = { dtype, trainable, device, exact };
  const handle = makeHandle(description, settings);
  await filled(handle, () =>
    handle.run(
      (model) => model.initialise(BigInt.asUintN(64, BigInt(seed)), deviationOf(config)),
      signal,
    ),
  );
  return { ...settings, handle, description, source: null, exact: handle.native.exact() };
};

/** The weights of a folder into a model that is there. Both must describe the very same model. */
export const reloadWeights = async (
  handle: ModelHandle,
  description: ModelDescription,
  folder: string,
  signal?: AbortSignal,
): Promise<void> => {
  const checkpoint = await readCheckpoint(folder);
  if (JSON.stringify(checkpoint.shape) !== JSON.stringify(description.shape)) {
    throw new AlignlabError(
      'CHECKPOINT_INVALID',
      `${folder} holds another model than the one that its weights should go into. ` +
        'Give the folder of this very model, or load the folder as a model of its own.',
    );
  }
  await handle.run(
    (model) => model.read('weights', rangesOfFile(checkpoint.tensors, model.slotNames())),
    signal,
  );
};
