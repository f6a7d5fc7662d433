// How far a policy is from its reference: KL(policy || reference), summed over the response. Along
// each sampled response the KL of every next-token distribution is taken exactly, over the whole
// vocabulary (Tang et al. 2024, appendix D): unbiased, and less noisy than log-ratios of samples.
import type { LanguageModel } from '../engine/model.js';
import { type PassOptions, klAlong, logProbsAlong } from '../engine/responses.js';
import { AlignlabError } from '../errors.js';
import { sumOf } from '../numbers.js';
import { type OptionNames, refuseUnknown } from '../options.js';
import type { Encoder } from '../text/encoding.js';
import {
  type EvaluationPrompt,
  type PlainSampling,
  drawResponses,
  requirePlain,
} from './samples.js';
import { type Estimate, estimate } from './statistics.js';

/** Of one response, in nats. */
export interface SequenceKl {
  readonly prompt: number;
  readonly tokens: number;
  readonly truncated: boolean;
  /** Sum of the exact KL of each next-token distribution. */
  readonly exact: number;
  /** Sum of log(policy / reference): unbiased for responses of the policy. */
  readonly k1: number;
  /** Sum of half its square: biased. */
  readonly k2: number;
  /** Sum of ratio - 1 - log ratio, ratio = reference / policy: unbiased, not negative. */
  readonly k3: number;
}

/** Per response, in nats (not logarithms of nats, which some figures show). */
export interface KlMeasurement {
  readonly exact: Estimate;
  readonly k1: Estimate;
  readonly k2: Estimate;
  readonly k3: Estimate;
  /** All exact KL over all tokens. */
  readonly exactPerToken: number;
  readonly tokens: number;
  /** Responses without an end-of-text token: their KL beyond the limit is not counted. */
  readonly truncated: number;
  readonly sequences: readonly SequenceKl[];
}

export interface KlSample {
  readonly prompt: Int32Array;
  readonly tokens: Int32Array;
  /** Under the policy; scored where absent. */
  readonly logProbs?: Float32Array;
  readonly truncated?: boolean;
}

/** k1, k2, k3 of one token (Schulman 2020), from its log-probabilities. */
export const klEstimators = (
  policy: number,
  reference: number,
): { readonly k1: number; readonly k2: number; readonly k3: number } => {
  const ratio = policy - reference;
  return { k1: ratio, k2: (ratio * ratio) / 2, k3: Math.expm1(-ratio) + ratio };
};

const summed = (policy: Float32Array, reference: Float32Array) => {
  const sums = { k1: 0, k2: 0, k3: 0 };
  policy.forEach((value, t) => {
    const { k1, k2, k3 } = klEstimators(value, reference[t]!);
    sums.k1 += k1;
    sums.k2 += k2;
    sums.k3 += k3;
  });
  return sums;
};

/** Along responses that the policy has drawn at temperature 1, without filters. */
export const klOfSamples = async (
  policy: LanguageModel,
  reference: LanguageModel,
  samples: readonly KlSample[],
  options: PassOptions = {},
): Promise<KlMeasurement> => {
  refuseUnknown('klOfSamples', options, { maxTokens: true, signal: true });
  if (samples.length === 0) {
    throw new AlignlabError('OPTION_INVALID', 'The KL needs at least one response to go along.');
  }
  const groups = samples.map(({ prompt, tokens }) => ({ prompt, responses: [tokens] }));
  const exact = await klAlong(policy, reference, groups, options);
  const own = samples.every(({ logProbs }) => logProbs)
    ? samples.map(({ logProbs }) => [logProbs!])
    : await logProbsAlong(policy, groups, options);
  const theirs = await logProbsAlong(reference, groups, options);
  const sequences = samples.map(({ tokens, truncated = false }, i): SequenceKl => ({
    prompt: i,
    tokens: tokens.length,
    truncated,
    exact: sumOf(exact[i]![0]!),
    ...summed(own[i]![0]!, theirs[i]![0]!),
  }));
  const of = (name: 'exact' | 'k1' | 'k2' | 'k3'): Estimate =>
    estimate(sequences.map((sequence) => sequence[name]));
  const tokens = sequences.reduce((count, sequence) => count + sequence.tokens, 0);
  return {
    exact: of('exact'),
    k1: of('k1'),
    k2: of('k2'),
    k3: of('k3'),
    exactPerToken: sequences.reduce((nats, sequence) => nats + sequence.exact, 0) / tokens,
    tokens,
    truncated: sequences.filter(({ truncated }) => truncated).length,
    sequences,
  };
};

export interface KlOptions extends PassOptions {
  readonly policy: LanguageModel;
  readonly reference: LanguageModel;
  readonly prompts: readonly EvaluationPrompt[];
  readonly sampling?: PlainSampling;
  /** Needed for stop strings. */
  readonly encoder?: Pick<Encoder, 'decode'>;
  /** Responses to each prompt. Default 1. */
  readonly samples?: number;
  /** Default 0. */
  readonly seed?: number | bigint;
}

const known: OptionNames<KlOptions> = {
  policy: true,
  reference: true,
  prompts: true,
  sampling: true,
  encoder: true,
  samples: true,
  seed: true,
  maxTokens: true,
  signal: true,
};

/** Draws responses to the prompts and measures the KL along them. */
export const measureKl = async (options: KlOptions): Promise<KlMeasurement> => {
  refuseUnknown('measureKl', options, known);
  const {
    policy,
    reference,
    prompts,
    sampling = {},
    encoder,
    samples: count,
    seed,
    ...pass
  } = options;
  requirePlain(sampling);
  const drawn = await drawResponses(policy, prompts, {
    sampling,
    stream: 'kl',
    ...(encoder ? { encoder } : {}),
    ...(count === undefined ? {} : { samples: count }),
    ...(seed === undefined ? {} : { seed }),
    ...(pass.signal ? { signal: pass.signal } : {}),
  });
  const samples = drawn.flatMap((responses, i) =>
    responses.map((response) => ({ ...response, prompt: prompts[i]!.tokens, index: i })),
  );
  const measured = await klOfSamples(policy, reference, samples, pass);
  const sequences = measured.sequences.map((sequence, i) => ({
    ...sequence,
    prompt: samples[i]!.index,
  }));
  return { ...measured, sequences };
};
