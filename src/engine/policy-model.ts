// What training and sampling need of a model. LanguageModel is one; the enumerable policies of
// src/policies/ are others, so that theory's small examples go through the very same loop.
import type { Batch, BatchOptions } from './batch.js';
import type { Coefficients } from './forward-pass.js';
import type { Generation, Prompt, SamplingOptions } from './generate.js';
import type { Dtype } from './load.js';
import type { AdamWOptions } from './optimizer.js';
import type { SaveOptions } from './persistence.js';
import type { Scores } from './scores.js';

interface Abortable {
  readonly signal?: AbortSignal;
}

/** Results of a forward pass, and the way back. */
export interface PolicyPass extends Scores, Disposable {
  /** Adds the gradient of the loss to the model's gradients, and uses the pass up. */
  backward(coefficients: Coefficients, options?: Abortable): Promise<void>;
  dispose(): void;
}

/** Gives tokens log-probabilities. */
export interface Scorer {
  score(
    batch: Batch,
    options?: BatchOptions & Abortable & { readonly entropy?: boolean },
  ): Promise<Scores>;
}

/** Methods mean what they mean of a LanguageModel. */
export interface PolicyModel extends Scorer {
  /** Of a checkpoint's config.json, or the kind of policy: for manifests. */
  readonly family: string;
  /** Precision of its log-probabilities. */
  readonly dtype: Dtype;
  readonly trainable: boolean;
  readonly disposed: boolean;
  /** Where a LanguageModel runs; policies of other kinds are the CPU's. */
  readonly device?: string;
  /** Whether sampler and scorer give the same bits. Absent: yes. */
  readonly exact?: boolean;
  /** Tokens of prompt and response together at most. */
  readonly shape: { readonly maxPosition: number };
  readonly endTokens: readonly number[];

  forward(
    batch: Batch,
    options?: BatchOptions &
      Abortable & { readonly entropy?: boolean; readonly recompute?: boolean },
  ): Promise<PolicyPass>;
  /** Exact KL(this || other), of a model of the same kind, at each scored token. */
  kl(
    other: PolicyModel,
    batch: Batch,
    options?: Abortable,
  ): Promise<{ readonly kl: Float32Array; readonly offsets: Int32Array }>;
  generate(prompts: readonly Prompt[], options?: SamplingOptions): Promise<Generation[]>;
  step(options: AdamWOptions): Promise<{ readonly gradNorm: number }>;
  zeroGradients(): Promise<void>;
  clone(options?: { readonly trainable?: boolean }): Promise<PolicyModel>;
  blend(other: PolicyModel, weight: number): Promise<void>;
  save(folder: string, options?: SaveOptions): Promise<void>;
  loadWeights(folder: string, options?: Abortable): Promise<void>;
  saveOptimizer(folder: string): Promise<void>;
  loadOptimizer(folder: string): Promise<void>;
  dispose(): Promise<void>;
}

const methods = ['score', 'forward', 'generate', 'step', 'clone'] as const;

/** For programs without types. */
export const isPolicyModel = (value: unknown): value is PolicyModel =>
  typeof value === 'object' &&
  value !== null &&
  methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
