// Labels the pairs of a dataset by a judge: the one use of a golden judge on training data (the
// golden dataset of Tang et al. 2024, section 4.1).
import { uniform } from '../data/random.js';
import type { CompareRequest, Judge } from '../judges/judge.js';
import { refuseUnknown } from '../options.js';
import type { Example } from '../text/example.js';
import { type Candidates, judgeCandidates, pairPreference, rank } from './judging.js';
import type { TiePolicy } from './on-policy-pairs.js';
import { requireChoice } from './state.js';

export interface UnlabelledPair {
  /** Its two responses, in any order. */
  readonly example: Example;
  /** The same prompt and responses in the same order, for the judge. */
  readonly request: CompareRequest;
}

export interface LabelOptions {
  /** Golden or proxy. */
  readonly judge: Judge;
  /** Default 'drop'. */
  readonly ties?: TiePolicy;
  /** For ties: 'random'. Default 0. */
  readonly seed?: number | bigint;
  readonly signal?: AbortSignal;
}

export interface LabelledPair {
  /** Chosen first. */
  readonly example: Example;
  /** Index in the list that was given. */
  readonly index: number;
  /** P(the response given first is better). */
  readonly preference: number;
  /** The responses have changed places. */
  readonly swapped: boolean;
}

export interface Labels {
  readonly pairs: readonly LabelledPair[];
  readonly ties: number;
  /** Pairs that the judge could not tell; they are left out. */
  readonly failed: number;
}

export const labelPairs = async (
  pairs: readonly UnlabelledPair[],
  options: LabelOptions,
): Promise<Labels> => {
  const { judge, ties = 'drop', seed = 0, signal } = options;
  refuseUnknown('labelPairs', options, { judge: true, ties: true, seed: true, signal: true });
  requireChoice('ties', ties, ['drop', 'first', 'random']);
  const candidates = pairs.map(({ request }): Candidates => {
    const { prompt, promptTokens, columns, first, second } = request;
    return {
      prompt: { text: prompt, tokens: promptTokens, ...(columns ? { columns } : {}) },
      responses: [first, second],
    };
  });
  const judgements = await judgeCandidates(judge, candidates, signal ? { signal } : {});
  const counts = { tie: 0, failed: 0 };
  const labelled = judgements.flatMap((judgement, index): LabelledPair[] => {
    const ranking = rank(judgement);
    const preference = pairPreference(judgement);
    if (ranking.kind !== 'ranked') counts[ranking.kind] += 1;
    if (preference === null || ranking.kind === 'failed') return [];
    if (ranking.kind === 'tie' && ties === 'drop') return [];
    const swapped =
      ranking.kind === 'ranked'
        ? ranking.best === 1
        : ties === 'random' && uniform(seed, 'tie', index) >= 0.5;
    // A margin of the data belonged to the old label.
    const { prompt, origin, responses: given } = pairs[index]!.example;
    const responses = swapped ? given.toReversed() : given;
    const example: Example = { kind: 'pair', prompt, responses, origin };
    return [{ example, index, preference, swapped }];
  });
  return { pairs: labelled, ties: counts.tie, failed: counts.failed };
};
