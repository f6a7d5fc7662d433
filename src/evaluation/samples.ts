// What evaluations have in common: prompts, responses drawn to them, values along responses.
import { random } from '../data/random.js';
import { type Batch, joinBatches, promptWithResponses } from '../engine/batch.js';
import type { SamplingOptions } from '../engine/generate.js';
import type { LanguageModel } from '../engine/model.js';
import { AlignlabError } from '../errors.js';
import type { JudgedResponse } from '../judges/judge.js';
import { byBudget, defaultPassTokens } from '../judges/passes.js';
import type { Encoder } from '../text/encoding.js';
import type { Text } from '../text/example.js';

export interface EvaluationPrompt {
  readonly tokens: Int32Array;
  readonly text: Text;
  /** Other columns of the row, for rule judges. */
  readonly columns?: Readonly<Record<string, unknown>>;
}

/** Of the policy itself: temperature, filters and penalties would be another distribution. */
export type PlainSampling = Pick<
  SamplingOptions,
  'maxNewTokens' | 'stopTokens' | 'stopStrings' | 'maxBatch'
>;

/** As policies are deployed. */
export type FreeSampling = Omit<SamplingOptions, 'samples' | 'seed' | 'signal' | 'decode'>;

export interface DrawOptions {
  readonly sampling?: FreeSampling;
  /** Turns tokens into text, for judges that read. Without it texts are empty. */
  readonly encoder?: Pick<Encoder, 'decode'>;
  /** Of each prompt. Default 1. */
  readonly samples?: number;
  /** Default 0. */
  readonly seed?: number | bigint;
  /** Samples of two streams of one seed are independent. Default 'first'. */
  readonly stream?: string;
  readonly signal?: AbortSignal;
}

export interface DrawnResponse extends JudgedResponse {
  /** log-probabilities under the policy at temperature 1, in nats. */
  readonly logProbs: Float32Array;
}

const seedOf = (seed: number | bigint, stream: string, prompt: number, sample: number): bigint => {
  const words = random(seed, 'evaluation', stream, prompt, sample);
  return (BigInt(words.below(2 ** 32)) << 32n) | BigInt(words.below(2 ** 32));
};

/**
 * Responses to each prompt. A response is a function of the policy, the settings, the seed, the
 * stream, and the indices of its prompt and sample.
 */
export const drawResponses = async (
  policy: LanguageModel,
  prompts: readonly EvaluationPrompt[],
  options: DrawOptions = {},
): Promise<DrawnResponse[][]> => {
  const { sampling = {}, encoder, samples = 1, seed = 0, stream = 'first', signal } = options;
  if (!Number.isSafeInteger(samples) || samples < 1) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `samples must be a whole number from 1 up, got ${samples}.`,
    );
  }
  const seeds = BigUint64Array.from({ length: prompts.length * samples }, (_, i) =>
    seedOf(seed, stream, Math.floor(i / samples), i % samples),
  );
  const drawn = await policy.generate(
    prompts.map(({ tokens }) => tokens),
    {
      ...sampling,
      ...(encoder ? { decode: (tokens: Int32Array) => encoder.decode(tokens) } : {}),
      ...(signal ? { signal } : {}),
      samples,
      seed: seeds,
    },
  );
  const responses = prompts.map((): DrawnResponse[] => []);
  for (const { prompt, tokens, logProbs, finishReason } of drawn) {
    const text = encoder?.decode(tokens, prompts[prompt]!.tokens) ?? '';
    responses[prompt]!.push({ tokens, logProbs, text, truncated: finishReason === 'length' });
  }
  return responses;
};

const plainKeys = ['maxNewTokens', 'stopTokens', 'stopStrings', 'maxBatch'];

/** For programs without types. Throws OPTION_INVALID for settings that change the distribution. */
export const requirePlain = (sampling: PlainSampling): void => {
  const stray = Object.keys(sampling).find((key) => !plainKeys.includes(key));
  if (stray === undefined) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `The KL is that of the policy itself, so its samples cannot have the option "${stray}". ` +
      `Leave it out; there are ${plainKeys.join(', ')}.`,
  );
};

/** One prompt with responses, none of them empty. */
export interface TokenGroup {
  readonly prompt: Int32Array;
  readonly responses: readonly Int32Array[];
}

export interface PassOptions {
  /** Tokens of one pass. Does not change results. Default 4096. */
  readonly maxTokens?: number;
  readonly signal?: AbortSignal;
}

interface PassResult {
  /** One for each response token, in order. */
  readonly values: Float32Array;
  readonly offsets: Int32Array;
}

const size = ({ prompt, responses }: TokenGroup): number =>
  responses.reduce((total, { length }) => total + length, prompt.length);

/** Values along each response of each group, from passes of limited size. */
const alongResponses = async (
  groups: readonly TokenGroup[],
  { maxTokens = defaultPassTokens }: PassOptions,
  pass: (batch: Batch) => Promise<PassResult>,
): Promise<Float32Array[][]> => {
  const found: Float32Array[][] = [];
  for (const part of byBudget(groups, size, maxTokens)) {
    const batch = joinBatches(
      part.map(({ prompt, responses }) => promptWithResponses(prompt, responses)),
    );
    const { values, offsets } = await pass(batch);
    let segment = 0;
    for (const { responses } of part) {
      segment += 1; // the prompt
      found.push(responses.map(() => values.slice(offsets[segment], offsets[++segment])));
    }
  }
  return found;
};

const withSignal = ({ signal }: PassOptions): { signal?: AbortSignal } =>
  signal ? { signal } : {};

/** log-probabilities of each response's tokens, in nats. */
export const logProbsAlong = (
  model: LanguageModel,
  groups: readonly TokenGroup[],
  options: PassOptions = {},
): Promise<Float32Array[][]> =>
  alongResponses(groups, options, async (batch) => {
    const { logProbs, offsets } = await model.score(batch, withSignal(options));
    return { values: logProbs, offsets };
  });

/** Exact KL(model || other) of the next-token distributions along each response, in nats. */
export const klAlong = (
  model: LanguageModel,
  other: LanguageModel,
  groups: readonly TokenGroup[],
  options: PassOptions = {},
): Promise<Float32Array[][]> =>
  alongResponses(groups, options, async (batch) => {
    const { kl, offsets } = await model.kl(other, batch, withSignal(options));
    return { values: kl, offsets };
  });

/** Of f32 numbers, in double precision. */
export const total = (values: Float32Array): number => {
  let result = 0;
  for (const value of values) result += value;
  return result;
};
