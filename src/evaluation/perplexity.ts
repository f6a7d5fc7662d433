// Perplexity of held-out text: exp of the mean negative log-probability of its tokens.
import type { LanguageModel } from '../engine/model.js';
import { type PassOptions, logProbsAlong } from '../engine/responses.js';
import { AlignlabError } from '../errors.js';
import { sumOf } from '../numbers.js';
import { refuseUnknown } from '../options.js';
import type { Example } from '../text/example.js';
import {
  type Interval,
  type ResamplingOptions,
  bootstrapInterval,
  resamplingOptions,
} from './statistics.js';

export interface Perplexity {
  readonly perplexity: number;
  /** Over rows: tokens of a row are not independent. */
  readonly interval: Interval;
  /** Mean negative log-probability of a token, in nats. */
  readonly nllPerToken: number;
  /** Mean negative log-probability of a response, in nats. */
  readonly nllPerResponse: number;
  readonly tokens: number;
  readonly responses: number;
}

export interface PerplexityOptions extends PassOptions, ResamplingOptions {
  /** Of pairs: which responses count. Default 'chosen'. */
  readonly of?: 'chosen' | 'rejected' | 'both';
}

interface Weighed {
  readonly nll: number;
  readonly tokens: number;
}

const perToken = (rows: readonly Weighed[]): number =>
  rows.reduce((sum, { nll }) => sum + nll, 0) / rows.reduce((sum, { tokens }) => sum + tokens, 0);

/** Of responses given their prompts; a text's first token is its prompt. */
export const perplexity = async (
  model: LanguageModel,
  examples: readonly Example[],
  options: PerplexityOptions = {},
): Promise<Perplexity> => {
  const { of = 'chosen', ...rest } = options;
  const known = { ...resamplingOptions, maxTokens: true, signal: true, of: true } as const;
  refuseUnknown('perplexity', options, known);
  if (!['chosen', 'rejected', 'both'].includes(of)) {
    throw new AlignlabError('OPTION_INVALID', `of must be chosen, rejected or both, got ${of}.`);
  }
  const groups = examples.map(({ kind, prompt, responses }) => {
    const tokens = responses.map((response) => response.tokens);
    const counted = kind !== 'pair' || of === 'both' ? tokens : [tokens[of === 'chosen' ? 0 : 1]!];
    return { prompt, responses: counted };
  });
  const scored = await logProbsAlong(model, groups, rest);
  const rows = scored
    .map((responses) => ({
      nll: -responses.reduce((sum, logProbs) => sum + sumOf(logProbs), 0),
      tokens: responses.reduce((sum, { length }) => sum + length, 0),
      responses: responses.length,
    }))
    .filter(({ tokens }) => tokens > 0);
  if (rows.length === 0) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'There are no response tokens to take a perplexity of. Give rows with responses.',
    );
  }
  const nllPerToken = perToken(rows);
  const [low, high] = bootstrapInterval(rows, perToken, rest);
  const responses = rows.reduce((sum, row) => sum + row.responses, 0);
  const tokens = rows.reduce((sum, row) => sum + row.tokens, 0);
  return {
    perplexity: Math.exp(nllPerToken),
    interval: [Math.exp(low), Math.exp(high)],
    nllPerToken,
    nllPerResponse: (nllPerToken * tokens) / responses,
    tokens,
    responses,
  };
};
