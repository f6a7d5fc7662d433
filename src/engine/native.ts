// Loads the addon, and describes what it exports. Private: the façade in this folder is the
// product, and the only importer.
import { fileURLToPath } from 'node:url';
import loadAddon from 'node-gyp-build';
import { AlignlabError, fromNative } from '../errors.js';
import type { ModelShape } from '../checkpoint/shape.js';

/** What every call that computes returns: its own promise and its own way to be stopped. */
export interface NativeCall<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}

export type NativeDtype = 'f32' | 'bf16' | 'f16';
export type TensorSet = 'weights' | 'gradients' | 'moment1' | 'moment2';

/** S segments over T packed tokens (native/model/forest.h). */
export interface ForestArrays {
  readonly tokens: Int32Array; // (T)
  readonly offsets: Int32Array; // (S + 1)
  readonly parents: Int32Array; // (S), -1 for a root
  readonly scored: Uint8Array; // (S)
  readonly scalarAt: Int32Array; // packed token indices
}

export interface NativeScores {
  readonly logProbs: Float32Array;
  readonly entropies: Float32Array;
  readonly scalars: Float32Array;
  readonly offsets: Int32Array;
}

export interface NativeRange {
  readonly name: string;
  readonly path: string;
  readonly begin: number;
  readonly dtype: NativeDtype;
  readonly slot: number;
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
}

export interface NativeAdamW {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  readonly decays: Uint8Array; // per slot
}

export interface NativeGeneration {
  readonly tokens: Int32Array; // prompts, packed
  readonly offsets: Int32Array; // (prompts + 1)
  readonly samples: Int32Array; // per prompt
  readonly seeds: BigUint64Array; // per sequence
  readonly streams: BigUint64Array; // per sequence
  readonly stopTokens: Int32Array;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly minNewTokens: number;
  readonly maxNewTokens: number;
}

export interface NativeSequence {
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly processedLogProbs: Float32Array;
  readonly finishReason: 'stop' | 'length' | 'interrupted';
}

export type NativeOnTokens = (
  sequences: Int32Array,
  tokens: Int32Array,
  logProbs: Float32Array,
  processedLogProbs: Float32Array,
) => void;

export interface NativePass {
  dispose(): void;
}

export interface NativeModel {
  step: number;
  initialise(seed: bigint, deviation: number): NativeCall<void>;
  read(set: TensorSet, ranges: readonly NativeRange[]): NativeCall<void>;
  write(
    set: TensorSet,
    ranges: readonly NativeRange[],
    path: string,
    header: Uint8Array,
  ): NativeCall<void>;
  clone(trainable: boolean, dtype: NativeDtype): NativeCall<NativeModel>;
  blend(other: NativeModel, weight: number): NativeCall<void>;
  score(forest: ForestArrays, entropy: boolean): NativeCall<NativeScores>;
  forward(
    forest: ForestArrays,
    entropy: boolean,
    recompute: boolean,
  ): NativeCall<NativeScores & { pass: NativePass }>;
  backward(
    pass: NativePass,
    logProbs?: Float32Array,
    entropies?: Float32Array,
    scalars?: Float32Array,
  ): NativeCall<void>;
  kl(other: NativeModel, forest: ForestArrays): NativeCall<NativeScores>;
  generate(
    requests: NativeGeneration,
    maxBatch: number,
    onTokens?: NativeOnTokens,
    other?: NativeModel,
    weight?: number,
  ): NativeCall<NativeSequence[]> & { interrupt(sequence: number): void };
  adamWStep(settings: NativeAdamW): NativeCall<number>;
  gradientNorm(): NativeCall<number>;
  zeroGradients(): NativeCall<void>;
  slotNames(): string[];
  bytes(): number;
  exact(): boolean;
  /** Done when the memory has been given back. */
  dispose(): NativeCall<void>;
}

/** A learner of native/control/settings.h; src/control/learner.ts explains and fills the fields. */
export interface NativeLearnerSettings {
  readonly algorithm: number;
  readonly obsDim: number;
  readonly actDim: number;
  readonly hidden: readonly number[];
  readonly batch: number;
  readonly realRows: number;
  readonly policyLearningRate: number;
  readonly criticLearningRate: number;
  readonly alphaLearningRate: number;
  readonly gamma: number;
  readonly tau: number;
  readonly backupEntropy: boolean;
  readonly trainAlpha: boolean;
  readonly targetEntropy: number;
  readonly initialAlpha: number;
  readonly darcClip: number;
  readonly discriminators: {
    readonly hidden: readonly number[];
    readonly batch: number;
    readonly learningRate: number;
    readonly noise: number;
    readonly logitScale: number;
    readonly normalize: boolean;
  };
  readonly h2o: {
    readonly importanceWeights: boolean;
    readonly adaptiveGap: boolean;
    readonly penalty: boolean;
    readonly linear: boolean;
    readonly beta: number;
    readonly nextSamples: number;
    readonly nextSpread: number;
    readonly ratioLow: number;
    readonly ratioHigh: number;
    readonly gapHigh: number;
    readonly differenceLimit: number;
  };
  readonly cql: { readonly weight: number; readonly temperature: number; readonly actions: number };
  readonly seeds: BigUint64Array; // (members)
  readonly simCapacity: number;
}

/** n transitions of an environment with S observed numbers and A actions. */
export interface NativeTransitions {
  readonly n: number;
  readonly obs: Float32Array; // (n, S)
  readonly act: Float32Array; // (n, A)
  readonly rew: Float32Array; // (n)
  readonly next: Float32Array; // (n, S)
  readonly done: Uint8Array; // (n)
}

export interface NativeLearner {
  readonly step: number;
  push(member: number, columns: NativeTransitions): void;
  /** Per member the metrics of native/backend/control_operations.h, in order. */
  update(updates: number): NativeCall<Float64Array>;
  act(member: number, obs: Float32Array, rows: number, sample: boolean, out: Float32Array): void;
  inspect(
    member: number,
    columns: NativeTransitions,
  ): { q1: Float32Array; q2: Float32Array; logRatio: Float32Array; gap: Float32Array };
  /** Member -1: the real data. */
  read(member: number, first: number, count: number): NativeTransitions;
  size(member: number): number;
  parameters(member: number): Float32Array;
  state(transitions: boolean): Uint8Array;
  restore(bytes: Uint8Array): void;
  bytes(): number;
  dispose(): void;
}

export interface MemoryEstimate {
  /** Bytes of the weights, in all the forms that are kept. */
  readonly weights: number;
  readonly gradients: number;
  readonly moments: number;
  /** Of a pass without, and of one with a backward pass. */
  readonly score: number;
  readonly training: number;
}

export interface NativeCudaDevice {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
  readonly multiprocessors: number;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** Where large products go with exact: false; '' where that changes nothing. */
  readonly fast: string;
  readonly bytesInUse: number;
  readonly peakBytes: number;
}

export interface Native {
  readonly NativeModel: new (
    shape: ModelShape,
    dtype: NativeDtype,
    trainable: boolean,
    /** -1, or left out: the CPU; else a CUDA device's number. */
    device?: number,
    exact?: boolean,
  ) => NativeModel;
  readonly NativeLearner: new (
    settings: NativeLearnerSettings,
    real: NativeTransitions,
    /** -1: the CPU; else a CUDA device's number. */
    device: number,
  ) => NativeLearner;
  describe(): {
    abi: number;
    instructionSets: { name: string; supported: boolean }[];
    hardwareThreads: number;
  };
  cuda(): { devices: NativeCudaDevice[]; reason: string };
  state(): { instructionSet: string; threads: number; bytesInUse: number; byteLimit: number };
  setThreads(threads: number): NativeCall<void>;
  setMemoryLimit(bytes: number): void;
  estimateMemory(
    shape: ModelShape,
    dtype: NativeDtype,
    trainable: boolean,
    tokens: number,
    scored: number,
    recompute: boolean,
    device?: number,
  ): MemoryEstimate;
  measureLimits(device?: number): NativeCall<{ f32: number; bf16: number; bandwidth: number }>;
}

/** Of native/backend/backend.h. */
const abi = 9;

const load = (): Native => {
  let addon: Native;
  try {
    // From src/engine and dist/engine alike, the package is two levels up.
    addon = loadAddon(fileURLToPath(new URL('../..', import.meta.url))) as Native;
  } catch (cause) {
    throw new AlignlabError(
      'ADDON_NOT_FOUND',
      `There is no native addon for ${process.platform}-${process.arch}. In a checkout, run ` +
        '"npm run build:native"; in an installed package, use a platform that it has a prebuild for.',
      { cause },
    );
  }
  if (addon.describe().abi !== abi) {
    throw new AlignlabError(
      'ADDON_STALE',
      'The native addon is of another version than the JavaScript that loads it. ' +
        'Run "npm run build:native".',
    );
  }
  return addon;
};

let loaded: Native | undefined;
export const native = (): Native => (loaded ??= load());

/** Runs a synchronous native function; its coded errors become AlignlabErrors. */
export const guarded = <T>(body: () => T): T => {
  try {
    return body();
  } catch (error) {
    throw fromNative(error);
  }
};

/** Waits for a call; an aborted signal cancels it and becomes the rejection. */
export const settle = async <T>(call: NativeCall<T>, signal?: AbortSignal): Promise<T> => {
  const cancel = (): void => {
    call.cancel();
  };
  if (signal?.aborted) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await call.promise;
  } catch (error) {
    throw signal?.aborted ? signal.reason : fromNative(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
};
