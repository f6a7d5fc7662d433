// A language model on the engine: load, score, differentiate, sample, step, save.
import { type Checkpoint, type GenerationIds, readCheckpoint } from '../checkpoint/checkpoint.js';
import type { ModelDescription } from '../checkpoint/config.js';
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { type Batch, type BatchOptions, packForest } from './batch.js';
import { type Device, type DeviceName, deviceName, deviceNumber } from './device.js';
import { ForwardPass } from './forward-pass.js';
import { type Generation, type Prompt, type SamplingOptions, whole } from './generate.js';
import { runGeneration } from './generate-run.js';
import { ModelHandle } from './handle.js';
import {
  type CreateOptions,
  type Dtype,
  type LoadOptions,
  type LoadedModel,
  checkDtype,
  createModel,
  loadModel,
  reloadWeights,
} from './load.js';
import { type MemoryEstimate, type NativeModel, guarded, native } from './native.js';
import { type AdamWOptions, adamWSettings } from './optimizer.js';
import {
  type SaveOptions,
  loadMoments,
  saveModel,
  saveMoments,
  writeTensorSet,
} from './persistence.js';
import { Scores } from './scores.js';
import { nativeDtype } from './tensors.js';
import { TokenStream } from './token-stream.js';

export interface ScoreOptions extends BatchOptions {
  /** Also return the entropy of each next-token distribution. */
  readonly entropy?: boolean;
  readonly signal?: AbortSignal;
}

export interface ForwardOptions extends ScoreOptions {
  /** Keep one tensor a block and run each block again in backward: less memory, a third slower. */
  readonly recompute?: boolean;
}

export class LanguageModel implements AsyncDisposable {
  readonly #handle: ModelHandle;
  readonly #description: ModelDescription;
  readonly #source: Checkpoint | null;

  readonly dtype: Dtype;
  readonly trainable: boolean;
  readonly device: DeviceName;
  /** Whether sampler, score and forward give the same bits: see the option. */
  readonly exact: boolean;

  private constructor(loaded: LoadedModel) {
    const { handle, description, source, dtype, trainable, device, exact } = loaded;
    this.#handle = handle;
    this.#description = description;
    this.#source = source;
    this.dtype = dtype;
    this.trainable = trainable;
    this.device = device;
    this.exact = exact;
  }

  /**
   * Loads a Hugging Face folder (config.json, *.safetensors).
   * Throws CHECKPOINT_NOT_FOUND, CONFIG_INVALID, FAMILY_UNSUPPORTED, CHECKPOINT_INVALID,
   * NON_FINITE or OUT_OF_MEMORY.
   */
  static async load(folder: string, options: LoadOptions = {}): Promise<LanguageModel> {
    return new LanguageModel(await loadModel(folder, options));
  }

  /** A model with random weights, from what would stand in its config.json. */
  static async create(config: JsonObject, options: CreateOptions = {}): Promise<LanguageModel> {
    return new LanguageModel(await createModel(config, options));
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
    return this.#handle.disposed;
  }

  /** Optimiser steps made since the model was loaded, or as its optimiser state says. */
  get steps(): number {
    return guarded(() => this.#handle.native.step);
  }

  /** Bytes of weights, gradients, moments and the spare activation block. */
  get bytes(): number {
    return this.#handle.native.bytes();
  }

  /** Log-probabilities of the scored segments' tokens; no gradient, little memory. */
  async score(batch: Batch, options: ScoreOptions = {}): Promise<Scores> {
    const forest = packForest(batch, options);
    const { entropy = false, signal } = options;
    return new Scores(await this.#handle.run((model) => model.score(forest, entropy), signal));
  }

  /** As score, keeping what backward() needs. Dispose the pass, or use it up by backward(). */
  async forward(batch: Batch, options: ForwardOptions = {}): Promise<ForwardPass> {
    const { entropy = false, recompute = false, signal } = options;
    const forest = packForest(batch, options);
    const handle = this.#handle;
    const result = await handle.run((model) => model.forward(forest, entropy, recompute), signal);
    return new ForwardPass(result, (pass, d, abort) =>
      handle.run((model) => model.backward(pass, d.logProbs, d.entropies, d.scalars), abort),
    );
  }

  /** Exact KL(this || other) over the whole vocabulary at each scored token; in `logProbs`' order. */
  async kl(
    other: LanguageModel,
    batch: Batch,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<{ readonly kl: Float32Array; readonly offsets: Int32Array }> {
    if (!(other instanceof LanguageModel)) {
      throw new AlignlabError('OPTION_INVALID', 'KL is taken to another LanguageModel.');
    }
    const forest = packForest(batch);
    const result = await this.#handle.run(
      (model) => model.kl(other.#handle.native, forest),
      signal,
    );
    return { kl: result.logProbs, offsets: result.offsets };
  }

  static #otherOf({ mixture }: SamplingOptions): NativeModel | undefined {
    if (mixture === undefined) return undefined;
    const { model, weight } = mixture;
    if (model instanceof LanguageModel && typeof weight === 'number') return model.#handle.native;
    throw new AlignlabError(
      'OPTION_INVALID',
      'mixture must be { model, weight }: another LanguageModel and a number between 0 and 1.',
    );
  }

  /** Samples responses; in the order of prompts, then samples. */
  async generate(prompts: readonly Prompt[], options: SamplingOptions = {}): Promise<Generation[]> {
    return runGeneration(
      this.#handle,
      prompts,
      options,
      this.endTokens,
      LanguageModel.#otherOf(options),
    );
  }

  /** As generate, giving each token as it is drawn. Leaving the loop stops the work. */
  generateStream(prompts: readonly Prompt[], options: SamplingOptions = {}): TokenStream {
    return new TokenStream(options.signal, (signal, emit) =>
      runGeneration(
        this.#handle,
        prompts,
        { ...options, signal },
        this.endTokens,
        LanguageModel.#otherOf(options),
        emit,
      ),
    );
  }

  /** One AdamW step along the accumulated gradients, which it clears. */
  async step(options: AdamWOptions): Promise<{ readonly gradNorm: number }> {
    const { slots, tensors } = this.#description;
    const settings = adamWSettings(options, slots, tensors);
    return { gradNorm: await this.#handle.run((model) => model.adamWStep(settings)) };
  }

  /** Global norm of the accumulated gradients. */
  async gradNorm(): Promise<number> {
    return this.#handle.run((model) => model.gradientNorm());
  }

  async zeroGradients(): Promise<void> {
    await this.#handle.run((model) => model.zeroGradients());
  }

  /** A copy of the weights as they are now; gradients and optimiser state are not copied. */
  async clone(options: { trainable?: boolean; dtype?: Dtype } = {}): Promise<LanguageModel> {
    const { trainable = this.trainable, dtype = this.dtype } = options;
    checkDtype(dtype);
    const copy = await this.#handle.run((model) => model.clone(trainable, dtype));
    return new LanguageModel({
      handle: new ModelHandle(copy),
      description: this.#description,
      source: this.#source,
      dtype,
      trainable,
      device: this.device,
      exact: this.exact,
    });
  }

  /**
   * Moves the weights towards another model of the same shape:
   * weights = (1 - weight) weights + weight other. A frozen bf16 model has no master weights, so
   * that steps below its precision are lost: load it with trainable: true for a slow average.
   */
  async blend(other: LanguageModel, weight: number): Promise<void> {
    if (!(other instanceof LanguageModel)) {
      throw new AlignlabError('OPTION_INVALID', 'A model is blended with another LanguageModel.');
    }
    if (!(weight >= 0 && weight <= 1)) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `The weight of a blend must be between 0 and 1, got ${String(weight)}.`,
      );
    }
    await this.#handle.run((model) => model.blend(other.#handle.native, weight));
  }

  /** Writes a folder that transformers loads; it appears whole or not at all. */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    const dtype = options.dtype ?? (this.trainable ? 'F32' : (this.#source?.dtype ?? 'F32'));
    await saveModel(this.#handle, this.#description, this.#source, folder, { ...options, dtype });
  }

  /**
   * Takes up the weights of a folder that save() wrote for this model: of an f32 folder bit for bit.
   * Gradients and optimiser state stay. Throws CHECKPOINT_INVALID for another model, before anything
   * is read; after a file that fails half-way the weights are mixed, so dispose of the model then.
   */
  async loadWeights(folder: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    await reloadWeights(this.#handle, this.#description, folder, options.signal);
  }

  /** The accumulated gradients, under the checkpoint's tensor names, f32. */
  async saveGradients(path: string): Promise<void> {
    this.#requireTrainable('gradients');
    await writeTensorSet(this.#handle, this.#description, 'gradients', path);
  }

  /** AdamW's moments and step count, so that a run can be resumed bit for bit. */
  async saveOptimizer(folder: string): Promise<void> {
    this.#requireTrainable('optimiser state');
    await saveMoments(this.#handle, this.#description, folder);
  }

  /** Takes up what saveOptimizer wrote for this model. */
  async loadOptimizer(folder: string): Promise<void> {
    this.#requireTrainable('optimiser state');
    await loadMoments(this.#handle, this.#description, folder);
  }

  #requireTrainable(what: string): void {
    if (this.trainable) return;
    throw new AlignlabError(
      'OPTION_INVALID',
      `A frozen model has no ${what}. Load or clone it with trainable: true.`,
    );
  }

  /** Bytes of a device that a checkpoint needs for passes of so many tokens; nothing is loaded. */
  static async estimateMemory(
    folder: string,
    options: {
      device?: Device;
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
    checkDtype(dtype);
    whole('tokens', tokens, 1);
    whole('scored', scored, 0);
    const { shape } = checkpoint;
    const device = deviceNumber(deviceName(options.device));
    return guarded(() =>
      native().estimateMemory(shape, dtype, trainable, tokens, scored, recompute, device),
    );
  }

  /** Frees the model; calls that are under way reject with ABORTED. Idempotent. */
  async dispose(): Promise<void> {
    await this.#handle.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
