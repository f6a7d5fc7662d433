// Sampling options and results; the loop itself is native (native/decode/).
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown } from '../options.js';
import type { NativeGeneration, NativeSequence } from './native.js';
import type { PolicyModel } from './policy-model.js';

export interface SamplingOptions {
  /** Tokens to add at most. Default 64. */
  readonly maxNewTokens?: number;
  /** Stop tokens are not drawn before this many. Default 0. */
  readonly minNewTokens?: number;
  /** 0 is greedy decoding. Default 1. */
  readonly temperature?: number;
  /** Keep the k most probable tokens; 0 keeps all. Default 0. */
  readonly topK?: number;
  /** Keep the smallest set of most probable tokens that has this mass. Default 1. */
  readonly topP?: number;
  /** Keep tokens at least this probable relative to the most probable one. Default 0. */
  readonly minP?: number;
  /** Over prompt and response, as in transformers; 1 is off. Default 1. */
  readonly repetitionPenalty?: number;
  /** Over the response, as in the OpenAI API. Default 0. */
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  /** End a sequence, and are part of it. Default: the checkpoint's end-of-text tokens. */
  readonly stopTokens?: readonly number[];
  /** End a sequence at the token that completes one of them. Needs `decode`. */
  readonly stopStrings?: readonly string[];
  /** Turns token ids into text, for stopStrings. */
  readonly decode?: (tokens: Int32Array) => string;
  /** Samples of each prompt; they share its keys and values. Default 1. */
  readonly samples?: number;
  /**
   * One seed, of which each sequence (prompt index times samples plus sample index) has a stream
   * of its own, or a seed for each sequence. Default 0.
   */
  readonly seed?: number | bigint | BigUint64Array;
  /**
   * Draw from the geometric mixture with another model of the same vocabulary: next-token logits
   * (1 - weight) z + weight z' (Munos et al. 2023, arXiv 2312.00886). `logProbs` stay this model's.
   */
  readonly mixture?: { readonly model: PolicyModel; readonly weight: number };
  /** Sequences decoded at once. Does not change results. Default 64. */
  readonly maxBatch?: number;
  readonly signal?: AbortSignal;
}

const known: OptionNames<SamplingOptions> = {
  maxNewTokens: true,
  minNewTokens: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  repetitionPenalty: true,
  presencePenalty: true,
  frequencyPenalty: true,
  stopTokens: true,
  stopStrings: true,
  decode: true,
  samples: true,
  seed: true,
  mixture: true,
  maxBatch: true,
  signal: true,
};

export type FinishReason = 'stop' | 'length' | 'stop-string';

export interface Generation {
  /** Index of the prompt, and of the sample among those of this prompt. */
  readonly prompt: number;
  readonly sample: number;
  /** The response, a stop token included. */
  readonly tokens: Int32Array;
  /** Under the model itself (temperature 1): bit-equal to what score() returns. */
  readonly logProbs: Float32Array;
  /** Under the distribution that was drawn from: after penalties, temperature and filters. */
  readonly processedLogProbs: Float32Array;
  readonly finishReason: FinishReason;
}

/** One sampled token, as it comes from `generateStream`. */
export interface TokenEvent {
  readonly prompt: number;
  readonly sample: number;
  readonly token: number;
  readonly logProb: number;
  readonly processedLogProb: number;
}

export type Prompt = Int32Array | readonly number[];

export const whole = (name: string, value: number, least: number): number => {
  if (Number.isInteger(value) && value >= least && value < 2 ** 31) return value;
  throw new AlignlabError(
    'OPTION_INVALID',
    `${name} must be a whole number from ${least} up, got ${String(value)}.`,
  );
};

/** Ranges are checked natively, where NaN fails as well. */
const real = (name: string, value: number): number => {
  if (typeof value === 'number') return value;
  throw new AlignlabError('OPTION_INVALID', `${name} must be a number, got ${String(value)}.`);
};

const seedsOf = (
  seed: number | bigint | BigUint64Array,
  sequences: number,
): Pick<NativeGeneration, 'seeds' | 'streams'> => {
  if (seed instanceof BigUint64Array) {
    if (seed.length !== sequences) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `There are ${seed.length} seeds for ${sequences} sequences; pass one for each, or one number.`,
      );
    }
    return { seeds: seed, streams: new BigUint64Array(sequences) };
  }
  if (typeof seed !== 'bigint' && !Number.isSafeInteger(seed)) {
    throw new AlignlabError('OPTION_INVALID', `seed must be a whole number, got ${String(seed)}.`);
  }
  const seeds = new BigUint64Array(sequences).fill(BigInt.asUintN(64, BigInt(seed)));
  return { seeds, streams: BigUint64Array.from(seeds, (_, index) => BigInt(index)) };
};

const packPrompts = (prompts: readonly Prompt[]): Pick<NativeGeneration, 'tokens' | 'offsets'> => {
  const offsets = new Int32Array(prompts.length + 1);
  prompts.forEach((prompt, i) => {
    if (!(prompt instanceof Int32Array) && !Array.isArray(prompt)) {
      throw new AlignlabError(
        'BATCH_INVALID',
        `Prompt ${i} must be an Int32Array or an array of token ids.`,
      );
    }
    const bad = prompt.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= 2 ** 31);
    if (bad >= 0) {
      throw new AlignlabError(
        'TOKEN_OUT_OF_RANGE',
        `Token ${String(prompt[bad])} at place ${bad} of prompt ${i} is not a token id.`,
      );
    }
    offsets[i + 1] = (offsets[i] ?? 0) + prompt.length;
  });
  const tokens = new Int32Array(offsets.at(-1) ?? 0);
  prompts.forEach((prompt, i) => {
    tokens.set(prompt, offsets[i]);
  });
  return { tokens, offsets };
};

/** The native request. Ranges of the real-valued settings are checked natively, by name. */
export const generationRequest = (
  prompts: readonly Prompt[],
  options: SamplingOptions,
  endTokens: readonly number[],
): NativeGeneration => {
  refuseUnknown('Sampling', options, known);
  if (options.mixture) {
    refuseUnknown('The mixture', options.mixture, { model: true, weight: true });
  }
  const samples = whole('samples', options.samples ?? 1, 1);
  return {
    ...packPrompts(prompts),
    ...seedsOf(options.seed ?? 0, prompts.length * samples),
    samples: new Int32Array(prompts.length).fill(samples),
    stopTokens: Int32Array.from(options.stopTokens ?? endTokens, (token) =>
      whole('a stop token', token, 0),
    ),
    temperature: real('temperature', options.temperature ?? 1),
    topK: whole('topK', options.topK ?? 0, 0),
    topP: real('topP', options.topP ?? 1),
    minP: real('minP', options.minP ?? 0),
    repetitionPenalty: real('repetitionPenalty', options.repetitionPenalty ?? 1),
    presencePenalty: real('presencePenalty', options.presencePenalty ?? 0),
    frequencyPenalty: real('frequencyPenalty', options.frequencyPenalty ?? 0),
    minNewTokens: whole('minNewTokens', options.minNewTokens ?? 0, 0),
    maxNewTokens: whole('maxNewTokens', options.maxNewTokens ?? 64, 0),
  };
};

/** Characters in which a text that is decoded from its middle may differ from the whole. */
const front = 8;

/** The last tokens of a sequence, and how many it has. */
interface Watched {
  tail: number[];
  count: number;
}

/**
 * Watches sequences for stop strings as their tokens arrive. Native decoding runs a little ahead;
 * what it produced past the completing token is cut off, so results do not depend on timing.
 */
export class StopStringWatch {
  readonly #strings: readonly string[];
  readonly #decode: (tokens: Int32Array) => string;
  /** Characters that a stop string which is still to come can reach back to, with a margin. */
  readonly #reach: number;
  readonly #seen = new Map<number, Watched>();
  readonly #ends = new Map<number, number>();

  constructor({ stopStrings = [], decode }: SamplingOptions) {
    if (stopStrings.some((text) => typeof text !== 'string' || text === '')) {
      throw new AlignlabError('OPTION_INVALID', 'A stop string must be a text that is not empty.');
    }
    if (stopStrings.length > 0 && !decode) {
      throw new AlignlabError(
        'OPTION_INVALID',
        'stopStrings need decode: (tokens) => text, such as the tokenizer has.',
      );
    }
    this.#strings = stopStrings;
    this.#decode = decode ?? (() => '');
    this.#reach = Math.max(0, ...stopStrings.map(({ length }) => length)) + 4 * front;
  }

  get active(): boolean {
    return this.#strings.length > 0;
  }

  /** Takes a token; true if the sequence went on until it, false if it had ended before. */
  push(sequence: number, token: number): 'goes-on' | 'ends' | 'ended' {
    if (this.#ends.has(sequence)) return 'ended';
    const seen = this.#seen.get(sequence) ?? { tail: [], count: 0 };
    this.#seen.set(sequence, seen);
    seen.tail.push(token);
    seen.count += 1;
    const text = this.#decode(Int32Array.from(seen.tail));
    const from = seen.tail.length < seen.count ? front : 0;
    if (!this.#strings.some((stop) => text.includes(stop, from))) {
      this.#forget(seen, text);
      return 'goes-on';
    }
    this.#ends.set(sequence, seen.count);
    return 'ends';
  }

  /** Decoding all tokens for each one takes quadratic time: what is out of reach is left out. */
  #forget(seen: Watched, text: string): void {
    if (text.length <= 2 * this.#reach) return;
    const half = seen.tail.slice(seen.tail.length >> 1);
    if (this.#decode(Int32Array.from(half)).length >= this.#reach) seen.tail = half;
  }

  end(sequence: number): number | undefined {
    return this.#ends.get(sequence);
  }
}

export const toGeneration = (
  sequence: NativeSequence,
  index: number,
  samples: number,
  end: number | undefined,
): Generation => {
  const reason = sequence.finishReason === 'interrupted' ? 'length' : sequence.finishReason;
  return {
    prompt: Math.floor(index / samples),
    sample: index % samples,
    tokens: sequence.tokens.subarray(0, end),
    logProbs: sequence.logProbs.subarray(0, end),
    processedLogProbs: sequence.processedLogProbs.subarray(0, end),
    finishReason: end === undefined ? reason : 'stop-string',
  };
};
