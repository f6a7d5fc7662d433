// What evaluations have in common: prompts, responses drawn to them, values along responses.
import { derivedSeed } from '../data/random.js';
import type { SamplingOptions } from '../engine/generate.js';
import type { LanguageModel } from '../engine/model.js';
import { AlignlabError } from '../errors.js';
import { requireWhole } from '../options.js';
import type { JudgedResponse } from '../judges/judge.js';
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
  requireWhole('samples', samples);
  const seeds = BigUint64Array.from({ length: prompts.length * samples }, (_, i) =>
    derivedSeed(seed, 'evaluation', stream, Math.floor(i / samples), i % samples),
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
