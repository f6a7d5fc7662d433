// Log-probabilities under the reference: a frozen model scored as training goes, or what such a
// model said, kept under the content that it was said of.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type JsonObject, isObject } from '../checkpoint/json.js';
import { contentHash, filesHash } from '../data/content-hash.js';
import type { Dtype } from '../engine/load.js';
import type { LanguageModel } from '../engine/model.js';
import type { PolicyModel, Scorer } from '../engine/policy-model.js';
import { AlignlabError, fromSystem } from '../errors.js';
import type { Example } from '../text/example.js';
import { appendLines, readJson } from './cache-file.js';
import { planPasses } from './passes.js';

export interface ReferenceOptions {
  /** Tokens of a scoring pass. */
  readonly maxTokens: number;
  readonly signal?: AbortSignal;
}

export interface Reference<Model extends PolicyModel = LanguageModel> {
  /** Where there is one: for exact KL, and for a reference that follows the policy. */
  readonly model?: Model | undefined;
  /** For the manifest. */
  describe(): JsonObject;
  /** Of each example, each response: log-probabilities of its tokens. */
  logProbs(
    examples: readonly Example[],
    options: ReferenceOptions,
  ): Promise<readonly (readonly Float32Array[])[]>;
}

/** The log-probabilities of each response of each example under a model. */
export const scoreExamples = async (
  model: Scorer,
  examples: readonly Example[],
  { maxTokens, signal }: ReferenceOptions,
): Promise<Float32Array[][]> => {
  const results: Float32Array[][] = examples.map(() => []);
  for (const { batch, places } of planPasses(examples, { maxTokens })) {
    const scores = await model.score(batch, signal ? { signal } : {});
    for (const { example, responses } of places) {
      results[example] = responses.map((segment) => scores.logProbsOf(segment).slice());
    }
  }
  return results;
};

export const frozenReference = <Model extends PolicyModel>(model: Model): Reference<Model> => ({
  model,
  describe: () => ({ kind: 'frozen model', dtype: model.dtype }),
  logProbs: (examples, options) => scoreExamples(model, examples, options),
});

/** A hash of the weights and the config in a model folder, whatever its path. */
export const hashFolder = async (folder: string): Promise<string> => {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw fromSystem(cause, `read ${folder}`);
  });
  const weights = names.filter((name) => name === 'config.json' || name.endsWith('.safetensors'));
  return filesHash(weights.sort().map((name) => join(folder, name)));
};

/** A hash of the weights that a model has now. */
export const hashModel = async (model: LanguageModel): Promise<string> => {
  const scratch = await mkdtemp(join(tmpdir(), 'alignlab-hash-'));
  try {
    await model.save(join(scratch, 'model'));
    return await hashFolder(join(scratch, 'model'));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

export interface CachedReferenceOptions {
  /** Scores what is not in the cache yet; without it a miss is an error. */
  readonly model?: LanguageModel;
  /** Hash of the reference's weights (`hashFolder`); by default it is taken from the model. */
  readonly weights?: string;
  /** What it computes in, which its log-probabilities depend on. Default: the model's, else f32. */
  readonly dtype?: Dtype;
  /** Kept there between runs, one JSON line for each response. Without it in memory only. */
  readonly file?: string;
}

interface Identity {
  readonly weights: string;
  readonly dtype: Dtype;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Of the reference and everything that it sees: any other token is another key. */
const keyOf = ({ weights, dtype }: Identity, prompt: Int32Array, response: Int32Array): string =>
  contentHash(weights, dtype, prompt, response);

/** Lines of other references in the same file are kept and never match. */
const entryOf = (line: unknown): readonly [string, Float32Array] | null => {
  if (!isObject(line) || typeof line.key !== 'string' || typeof line.logProbs !== 'string') {
    return null;
  }
  const bytes = Buffer.from(line.logProbs, 'base64');
  if (bytes.length % 4 !== 0) return null;
  return [line.key, new Float32Array(new Uint8Array(bytes).buffer)];
};

export class CachedReference implements Reference {
  readonly #identity: Identity;
  readonly #options: CachedReferenceOptions;
  readonly #known = new Map<string, Float32Array>();
  #hits = 0;
  #misses = 0;

  private constructor(identity: Identity, options: CachedReferenceOptions) {
    this.#identity = identity;
    this.#options = options;
  }

  static async open(options: CachedReferenceOptions): Promise<CachedReference> {
    const { model, file } = options;
    const weights = options.weights ?? (model ? await hashModel(model) : undefined);
    if (weights === undefined) {
      throw new AlignlabError(
        'OPTION_INVALID',
        'A cached reference needs the model, or the hash of its weights (hashFolder).',
      );
    }
    const dtype = options.dtype ?? model?.dtype ?? 'f32';
    if (model && model.dtype !== dtype) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `The reference computes in ${model.dtype}, and dtype says ${dtype}. Leave dtype out.`,
      );
    }
    const reference = new CachedReference({ weights, dtype }, options);
    if (file === undefined) return reference;
    for await (const line of readJson(file)) {
      const entry = entryOf(line);
      if (entry) reference.#known.set(...entry);
    }
    return reference;
  }

  get model(): LanguageModel | undefined {
    return this.#options.model;
  }

  /** Responses found in the cache and scored anew. */
  get counts(): { readonly hits: number; readonly misses: number } {
    return { hits: this.#hits, misses: this.#misses };
  }

  describe(): JsonObject {
    return { kind: 'cached', ...this.#identity };
  }

  async logProbs(
    examples: readonly Example[],
    options: ReferenceOptions,
  ): Promise<readonly (readonly Float32Array[])[]> {
    const keys = examples.map(({ prompt, responses }) =>
      responses.map(({ tokens }) => keyOf(this.#identity, prompt, tokens)),
    );
    const missing = examples.filter((_, i) => keys[i]!.some((key) => !this.#known.has(key)));
    const count = missing.reduce((sum, { responses }) => sum + responses.length, 0);
    this.#misses += count;
    this.#hits += keys.flat().length - count;
    if (missing.length > 0) await this.#score(missing, options);
    return keys.map((list) => list.map((key) => this.#known.get(key)!));
  }

  async #score(examples: readonly Example[], options: ReferenceOptions): Promise<void> {
    const { model, file } = this.#options;
    if (!model || model.disposed) {
      throw new AlignlabError(
        'RUN_INVALID',
        `The cached reference has no log-probabilities of ${examples[0]?.origin ?? ''} and no ` +
          'model to score it with. The data, the template or the lengths have changed: ' +
          'give the model again.',
      );
    }
    const scored = await scoreExamples(model, examples, options);
    const lines = examples.flatMap(({ prompt, responses }, i) =>
      responses.map(({ tokens }, r) => {
        const key = keyOf(this.#identity, prompt, tokens);
        const logProbs = scored[i]![r]!;
        this.#known.set(key, logProbs);
        return { key, logProbs: bytesOf(logProbs).toString('base64') };
      }),
    );
    if (file !== undefined) await appendLines(file, lines);
  }
}

/** Log-probabilities of a reference, each computed once; see CachedReferenceOptions. */
export const cachedReference = (options: CachedReferenceOptions): Promise<CachedReference> =>
  CachedReference.open(options);
