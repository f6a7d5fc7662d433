// Has a judge look at the samples of prompts: rewards for groups, preferences for pairs.
import { AlignlabError } from '../errors.js';
import { askScores, askVerdicts } from '../judges/checked.js';
import { preferenceOf } from '../judges/combine.js';
import type { CompareRequest, Judge, JudgedResponse, Verdict } from '../judges/judge.js';
import type { PolicyPrompt } from './prompts.js';
import type { RecordedVerdict } from './provenance.js';

export interface JudgingOptions {
  /** Subtracted from the reward of a response that was cut off at the token limit. Default 0. */
  readonly missingEosPenalty?: number;
  readonly signal?: AbortSignal;
}

export interface Candidates {
  readonly prompt: PolicyPrompt;
  readonly responses: readonly JudgedResponse[];
}

export interface Judgement {
  /**
   * One for each response: the judge's reward less the penalty; of a pair judge the mean of its
   * preferences for this response over the others. null where the judge failed.
   */
  readonly rewards: readonly (number | null)[];
  /** Of a pair judge: about each two responses. */
  readonly verdicts?: readonly RecordedVerdict[];
}

export const checkJudging = (judge: Judge | undefined, penalty: number): void => {
  if (!(Number.isFinite(penalty) && penalty >= 0)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `missingEosPenalty must be a number from 0 up, got ${String(penalty)}.`,
    );
  }
  if (penalty === 0 || judge?.kind === 'reward') return;
  throw new AlignlabError(
    'OPTION_INVALID',
    'missingEosPenalty is subtracted from rewards, and ' +
      `${judge ? `the judge "${judge.name}" compares pairs` : 'there is no judge'}. ` +
      'Give a reward judge, or leave the penalty out.',
  );
};

const common = ({ prompt }: Candidates) => ({
  prompt: prompt.text,
  promptTokens: prompt.tokens,
  ...(prompt.columns ? { columns: prompt.columns } : {}),
});

/** Indices (i, j), i < j, of all pairs among n. */
const pairsOf = (n: number): (readonly [number, number])[] =>
  Array.from({ length: n }, (_, i) =>
    Array.from({ length: n - i - 1 }, (__, k) => [i, i + k + 1] as const),
  ).flat();

const meanPreferences = (count: number, verdicts: readonly RecordedVerdict[]): (number | null)[] =>
  Array.from({ length: count }, (_, own) => {
    const found = verdicts.flatMap(({ samples: [first, second], preference }) => {
      if (preference === null || (first !== own && second !== own)) return [];
      return [first === own ? preference : 1 - preference];
    });
    return found.length === 0 ? null : found.reduce((sum, p) => sum + p, 0) / found.length;
  });

const recorded = (samples: readonly [number, number], verdict: Verdict): RecordedVerdict => ({
  samples,
  preference: verdict.preference,
  ...(verdict.orders ? { orders: verdict.orders } : {}),
  ...(verdict.reason === undefined ? {} : { reason: verdict.reason }),
});

/** Judges all responses of all prompts in one call. */
export const judgeCandidates = async (
  judge: Judge,
  candidates: readonly Candidates[],
  { missingEosPenalty = 0, signal }: JudgingOptions = {},
): Promise<Judgement[]> => {
  const options = signal ? { signal } : {};
  if (judge.kind === 'reward') {
    const requests = candidates.flatMap((each) =>
      each.responses.map((response) => ({ ...common(each), response })),
    );
    const scores = await askScores(judge, requests, options);
    let at = 0;
    return candidates.map(({ responses }) => ({
      rewards: responses.map(({ truncated }) => {
        const score = scores[at++] ?? null;
        return score === null || !truncated ? score : score - missingEosPenalty;
      }),
    }));
  }
  const asked = candidates.map(({ responses }) => pairsOf(responses.length));
  const requests = candidates.flatMap((each, c): CompareRequest[] =>
    asked[c]!.map(([i, j]) => ({
      ...common(each),
      first: each.responses[i]!,
      second: each.responses[j]!,
    })),
  );
  const answers = await askVerdicts(judge, requests, options);
  let at = 0;
  return candidates.map(({ responses }, c) => {
    const verdicts = asked[c]!.map((samples) => recorded(samples, answers[at++]!));
    return { rewards: meanPreferences(responses.length, verdicts), verdicts };
  });
};

/** tie: both are equally good; failed: the judge could not tell. */
export type Ranking =
  | { readonly kind: 'ranked'; readonly best: number; readonly worst: number }
  | { readonly kind: 'tie' | 'failed' };

/**
 * The best and the worst of the responses. Of two it is a tie where the preference is exactly 1/2.
 * Responses without reward do not take part; it needs two with one.
 */
export const rank = ({ rewards }: Judgement): Ranking => {
  const known = rewards.flatMap((reward, index) => (reward === null ? [] : [{ reward, index }]));
  if (known.length < 2) return { kind: 'failed' };
  const best = known.reduce((a, b) => (b.reward > a.reward ? b : a));
  const worst = known.reduce((a, b) => (b.reward < a.reward ? b : a));
  if (best.reward === worst.reward) return { kind: 'tie' };
  return { kind: 'ranked', best: best.index, worst: worst.index };
};

/** P(first is better) of two responses, as `rank` sees it. */
export const pairPreference = ({ rewards, verdicts }: Judgement): number | null => {
  if (verdicts) return verdicts[0]?.preference ?? null;
  const [first = null, second = null] = rewards;
  return first === null || second === null ? null : preferenceOf(first, second, false);
};
