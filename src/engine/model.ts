// A language model on the engine: load, score, differentiate, sample, step, save.
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Checkpoint, type GenerationIds, readCheckpoint } from '../checkpoint/checkpoint.js';
import { type ModelDescription, describeModel } from '../checkpoint/config.js';
import type { JsonObject } from '../checkpoint/json.js';
import { type WeightDtype, encodeHeader, openSafetensors } from '../checkpoint/safetensors.js';
import { planSave, saveFolder, writeTexts } from '../checkpoint/save.js';
import { AlignlabError } from '../errors.js';
import { type Batch, type BatchOptions, packForest } from './batch.js';
import { ForwardPass } from './forward-pass.js';
import {
  type Generation,
  type Prompt,
  type SamplingOptions,
  StopStringWatch,
  type TokenEvent,
  generationRequest,
  toGeneration,
  whole,
} from './generate.js';
import {
  type MemoryEstimate,
  type NativeCall,
  type NativeModel,
  type NativeOnTokens,
  type NativeRange,
  type TensorSet,
  guarded,
  native,
  settle,
} from './native.js';
import { type AdamWOptions, adamWSettings } from './optimizer.js';
import { Scores } from './scores.js';
import { TokenStream } from './token-stream.js';
import { type Located, nativeDtype, rangesOfFile, rangesToWrite } from './tensors.js';

export type Dtype = 'f32' | 'bf16';

export interface ModelOptions {
  /** 'cpu'; 'auto' takes the best there is. Default 'auto'. */
  readonly device?: 'auto' | 'cpu';
  /** Of weights and activations in the products. Default: as the checkpoint, bf16 for f16. */
  readonly dtype?: Dtype;
  /** false leaves out master weights and gradients. Default true. */
  readonly trainable?: boolean;
  readonly signal?: AbortSignal;
}

export interface LoadOptions extends ModelOptions {
  /** Put a new scalar head with this many outputs on a language model's backbone. */
  readonly scalarHead?: number;
}

export interface CreateOptions extends ModelOptions {
  /** Of the random weights. Default 0. */
  readonly seed?: number | bigint;
}

export interface ScoreOptions extends BatchOptions {
  /** Also return the entropy of each next-token distribution. */
  readonly entropy?: boolean;
  readonly signal?: AbortSignal;
}

export interface ForwardOptions extends ScoreOptions {
  /** Keep one tensor a block and run each block again in backward: less memory, a third slower. */
  readonly recompute?: boolean;
}

export interface SaveOptions {
  /** Default: f32 for trainable models, else as loaded. */
  readonly dtype?: WeightDtype;
  readonly maxShardBytes?: number;
  readonly signal?: AbortSignal;
}

const checkDevice = (device: string): void => {
  if (device === 'auto' || device === 'cpu') return;
  throw new AlignlabError(
    'DEVICE_UNAVAILABLE',
    `device "${device}" is not available in this build. Use 'auto' or 'cpu'.`,
  );
};

const checkDtype = (dtype: string): void => {
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

export class LanguageModel implements AsyncDisposable {
  readonly #native: NativeModel;
  readonly #description: ModelDescription;
  readonly #source: Checkpoint | null;
  readonly #pending = new Set<NativeCall<unknown>>();
  #disposed = false;

  readonly dtype: Dtype;
  readonly trainable: boolean;

  private constructor(
    model: NativeModel,
    description: ModelDescription,
    source: Checkpoint | null,
    { dtype, trainable }: { dtype: Dtype; trainable: boolean },
  ) {
    this.#native = model;
    this.#description = description;
    this.#source = source;
    this.dtype = dtype;
    this.trainable = trainable;
  }

  /**
   * Loads a Hugging Face folder (config.json, *.safetensors).
   * Throws CHECKPOINT_NOT_FOUND, CONFIG_INVALID, FAMILY_UNSUPPORTED, CHECKPOINT_INVALID,
   * NON_FINITE or OUT_OF_MEMORY.
   */
  static async load(folder: string, options: LoadOptions = {}): Promise<LanguageModel> {
    const { device = 'auto', trainable = true, scalarHead, signal } = options;
    checkDevice(device);
    const checkpoint = await readCheckpoint(folder);
    const dtype = options.dtype ?? (checkpoint.dtype === 'F32' ? 'f32' : 'bf16');
    const fresh = scalarHead === undefined ? null : withScalarHead(checkpoint, scalarHead);
    const description = fresh ?? checkpoint;
    const model = LanguageModel.#make(description, dtype, trainable);
    const loaded = new LanguageModel(model, description, fresh ? null : checkpoint, {
      dtype,
      trainable,
    });
    try {
      if (fresh) await loaded.#run(() => model.initialise(0n, 0.02), signal);
      const dropped = fresh ? ['head', 'scalar'] : [];
      const tensors = checkpoint.tensors.filter(({ slot }) => !dropped.includes(slot));
      await loaded.#run(
        () => model.read('weights', rangesOfFile(tensors, model.slotNames())),
        signal,
      );
      return loaded;
    } catch (error) {
      await loaded.dispose();
      throw error;
    }
  }

  /** A model with random weights, from what would stand in its config.json. */
  static async create(config: JsonObject, options: CreateOptions = {}): Promise<LanguageModel> {
    const { device = 'auto', dtype = 'f32', trainable = true, seed = 0, signal } = options;
    checkDevice(device);
    checkSeed(seed);
    const description = describeModel(config, 'the config');
    const model = LanguageModel.#make(description, dtype, trainable);
    const created = new LanguageModel(model, description, null, { dtype, trainable });
    const deviation = typeof config.initializer_range === 'number' ? config.initializer_range : 0.02;
    await created.#run(
      () => model.initialise(BigInt.asUintN(64, BigInt(seed)), deviation),
      signal,
    );
    return created;
  }

  static #make({ shape }: ModelDescription, dtype: Dtype, trainable: boolean): NativeModel {
    checkDtype(dtype);
    return guarded(() => new (native().NativeModel)(shape, dtype, trainable));
  }

  get family(): string {
    return this.#description.family.modelType;
  }

  /** Names that the vocabulary head's tensor has in checkpoints of this family. */
  get headNames(): readonly string[] {
    return this.#description.family.headNames;
  }

  get shape(): ModelDescription['shape'] {
    return this.#description.shape;
  }

  /** Tokens that end a text, from generation_config.json or config.json. */
  get endTokens(): readonly number[] {
    return this.#source?.generation.eos ?? [];
  }

  get generationIds(): GenerationIds {
    return this.#source?.generation ?? { eos: [], bos: null };
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Optimiser steps made since the model was loaded, or as its optimiser state says. */
  get steps(): number {
    return guarded(() => this.#native.step);
  }

  /** Bytes of weights, gradients, moments and the spare activation block. */
  get bytes(): number {
    return this.#native.bytes();
  }

  /** Log-probabilities of the scored segments' tokens; no gradient, little memory. */
  async score(batch: Batch, options: ScoreOptions = {}): Promise<Scores> {
    const forest = packForest(batch, options);
    return new Scores(
      await this.#run(() => this.#native.score(forest, options.entropy ?? false), options.signal),
    );
  }

  /** As score, keeping what backward() needs. Dispose the pass, or use it up by backward(). */
  async forward(batch: Batch, options: ForwardOptions = {}): Promise<ForwardPass> {
    const { entropy = false, recompute = false, signal } = options;
    const forest = packForest(batch, options);
    const result = await this.#run(() => this.#native.forward(forest, entropy, recompute), signal);
    return new ForwardPass(result, (pass, d, abort) =>
      this.#run(() => this.#native.backward(pass, d.logProbs, d.entropies, d.scalars), abort),
    );
  }

  /** Exact KL(this || other) over the whole vocabulary at each scored token; in `logProbs`' order. */
  async kl(
    other: LanguageModel,
    batch: Batch,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<{ readonly kl: Float32Array; readonly offsets: Int32Array }> {
    const forest = packForest(batch);
    const result = await this.#run(() => this.#native.kl(other.#native, forest), signal);
    return { kl: result.logProbs, offsets: result.offsets };
  }

  /** Samples responses; in the order of prompts, then samples. */
  async generate(prompts: readonly Prompt[], options: SamplingOptions = {}): Promise<Generation[]> {
    const watch = new StopStringWatch(options);
    return this.#generate(prompts, options, watch);
  }

  /** As generate, giving each token as it is drawn. Leaving the loop stops the work. */
  generateStream(prompts: readonly Prompt[], options: SamplingOptions = {}): TokenStream {
    const watch = new StopStringWatch(options);
    return new TokenStream(options.signal, (signal, emit) =>
      this.#generate(prompts, { ...options, signal }, watch, emit),
    );
  }

  async #generate(
    prompts: readonly Prompt[],
    options: SamplingOptions,
    watch: StopStringWatch,
    emit?: (event: TokenEvent) => void,
  ): Promise<Generation[]> {
    const { samples = 1, signal } = options;
    const maxBatch = whole('maxBatch', options.maxBatch ?? 64, 1);
    const request = generationRequest(prompts, options, this.endTokens);
    if (prompts.length === 0) return [];
    let failure: unknown;
    let interrupt: (sequence: number) => void = () => undefined;
    let cancel = (): void => undefined;
    const onTokens: NativeOnTokens = (sequences, tokens, logProbs, processedLogProbs) => {
      try {
        sequences.forEach((sequence, i) => {
          const token = tokens[i] ?? 0;
          const state = watch.active ? watch.push(sequence, token) : 'goes-on';
          if (state === 'ends') interrupt(sequence);
          if (state === 'ended') return;
          emit?.({
            prompt: Math.floor(sequence / samples),
            sample: sequence % samples,
            token,
            logProb: logProbs[i] ?? 0,
            processedLogProb: processedLogProbs[i] ?? 0,
          });
        });
      } catch (error) {
        // From the caller's decode or emit: the call stops and rejects with it.
        failure ??= error;
        cancel();
      }
    };
    try {
      const sequences = await this.#run(() => {
        const listen = watch.active || emit ? onTokens : undefined;
        const call = this.#native.generate(request, maxBatch, listen);
        interrupt = (sequence) => {
          call.interrupt(sequence);
        };
        cancel = () => {
          call.cancel();
        };
        return call;
      }, signal);
      if (failure !== undefined) throw failure as Error;
      return sequences.map((sequence, index) =>
        toGeneration(sequence, index, samples, watch.end(index)),
      );
    } catch (error) {
      throw failure ?? error;
    }
  }

  /** One AdamW step along the accumulated gradients, which it clears. */
  async step(options: AdamWOptions): Promise<{ readonly gradNorm: number }> {
    const { slots, tensors } = this.#description;
    const settings = adamWSettings(options, slots, tensors);
    return { gradNorm: await this.#run(() => this.#native.adamWStep(settings)) };
  }

  /** Global norm of the accumulated gradients. */
  async gradNorm(): Promise<number> {
    return this.#run(() => this.#native.gradientNorm());
  }

  async zeroGradients(): Promise<void> {
    await this.#run(() => this.#native.zeroGradients());
  }

  /** A copy of the weights as they are now; gradients and optimiser state are not copied. */
  async clone(options: { trainable?: boolean; dtype?: Dtype } = {}): Promise<LanguageModel> {
    const { trainable = this.trainable, dtype = this.dtype } = options;
    checkDtype(dtype);
    const copy = await this.#run(() => this.#native.clone(trainable, dtype));
    return new LanguageModel(copy, this.#description, this.#source, { dtype, trainable });
  }

  /** Writes a folder that transformers loads; it appears whole or not at all. */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    const { maxShardBytes, signal } = options;
    const dtype = options.dtype ?? (this.trainable ? 'F32' : (this.#source?.dtype ?? 'F32'));
    const { config, tensors } = this.#description;
    const plan = planSave(
      { config, tensors, ...this.#source },
      { dtype, ...(maxShardBytes === undefined ? {} : { maxShardBytes }) },
    );
    await saveFolder(folder, async (temporary) => {
      await writeTexts(temporary, plan);
      for (const file of plan.files) {
        const path = join(temporary, file.name);
        await this.#run(() => {
          const ranges = rangesToWrite(file.tensors, this.#native.slotNames(), dtype);
          return this.#native.write('weights', ranges, path, file.header);
        }, signal);
      }
    });
  }

  /** The accumulated gradients, under the checkpoint's tensor names, f32. */
  async saveGradients(path: string): Promise<void> {
    await this.#writeSet('gradients', path, {});
  }

  /** AdamW's moments and step count, so that a run can be resumed bit for bit. */
  async saveOptimizer(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    const metadata = { step: String(this.steps) };
    await this.#writeSet('moment1', join(folder, 'adamw-moment1.safetensors'), metadata);
    await this.#writeSet('moment2', join(folder, 'adamw-moment2.safetensors'), metadata);
  }

  /** Both files are checked before either is read. */
  async loadOptimizer(folder: string): Promise<void> {
    const first = await this.#openMoments(join(folder, 'adamw-moment1.safetensors'));
    const second = await this.#openMoments(join(folder, 'adamw-moment2.safetensors'));
    if (first.step !== second.step) {
      throw new AlignlabError(
        'CHECKPOINT_INVALID',
        `${folder} holds moments of step ${first.step} and of step ${second.step}: saving them was ` +
          'interrupted. Take an earlier state.',
      );
    }
    await this.#run(() => this.#native.read('moment1', this.#rangesOfFile(first.tensors)));
    await this.#run(() => this.#native.read('moment2', this.#rangesOfFile(second.tensors)));
    guarded(() => (this.#native.step = first.step));
  }

  async #openMoments(path: string): Promise<{ step: number; tensors: Located[] }> {
    const file = await openSafetensors(path);
    const step = Number(file.metadata.step);
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new AlignlabError(
        'CHECKPOINT_INVALID',
        `${path} does not say after which step it was written. Was it made by saveOptimizer()?`,
      );
    }
    const tensors = this.#description.tensors.map((tensor) => {
      const found = file.tensors.get(tensor.name);
      if (!found || found.shape.join() !== tensor.shape.join() || found.dtype !== 'F32') {
        throw new AlignlabError(
          'CHECKPOINT_INVALID',
          `${path}: tensor ${tensor.name} is missing or of another shape. ` +
            'Load the optimiser state of this very model.',
        );
      }
      return { ...tensor, file: path, dtype: 'F32' as const, begin: found.begin };
    });
    return { step, tensors };
  }

  #rangesOfFile(tensors: readonly Located[]): NativeRange[] {
    return rangesOfFile(tensors, this.#native.slotNames());
  }

  async #writeSet(
    set: TensorSet,
    path: string,
    metadata: Readonly<Record<string, string>>,
  ): Promise<void> {
    if (!this.trainable) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `A frozen model has no ${set}. Load or clone it with trainable: true.`,
      );
    }
    const tensors = this.#description.tensors.map((t) => ({ ...t, dtype: 'F32' as const }));
    const { bytes } = encodeHeader(tensors, metadata);
    const temporary = join(dirname(path), `.${process.pid}-${set}.saving`);
    try {
      await this.#run(() => {
        const ranges = rangesToWrite(tensors, this.#native.slotNames(), 'F32');
        return this.#native.write(set, ranges, temporary, bytes);
      });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  /** Bytes that a checkpoint needs for passes of so many tokens; nothing is loaded. */
  static async estimateMemory(
    folder: string,
    options: {
      dtype?: Dtype;
      trainable?: boolean;
      tokens: number;
      scored?: number;
      recompute?: boolean;
    },
  ): Promise<MemoryEstimate> {
    const checkpoint = await readCheckpoint(folder);
    const { trainable = true, tokens, scored = tokens, recompute = false } = options;
    const dtype = options.dtype ?? nativeDtype(checkpoint.dtype === 'F32' ? 'F32' : 'BF16');
    return guarded(() =>
      native().estimateMemory(checkpoint.shape, dtype, trainable, tokens, scored, recompute),
    );
  }

  async #run<T>(start: () => NativeCall<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#disposed) {
      throw new AlignlabError('DISPOSED', 'This model has been disposed. Load it again.');
    }
    const call = guarded(start);
    this.#pending.add(call);
    try {
      return await settle(call, signal);
    } finally {
      this.#pending.delete(call);
    }
  }

  /** Frees the model; calls that are under way reject with ABORTED. Idempotent. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const pending = [...this.#pending];
    for (const call of pending) call.cancel();
    this.#native.dispose();
    await Promise.allSettled(pending.map(({ promise }) => promise));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
