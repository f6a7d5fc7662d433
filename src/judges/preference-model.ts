// A pairwise preference model as a judge: r(x, y1, y2) in [0, 1], trained by equation 5 of Tang et
// al. 2024 (2405.08448). What bias for a place is left, online training would exploit, so both
// orders are asked: y1 is preferred where r(x, y1, y2) > r(x, y2, y1) (their appendix A.2).
import type { LanguageModel } from '../engine/model.js';
import { refuseUnknown, requireWhole } from '../options.js';
import type { ComparisonEncoder } from '../text/comparison.js';
import { type JudgeNames, judgeIdentity, judgeNames } from './function-judge.js';
import type { CompareRequest, JudgeRole, PairJudge, Verdict } from './judge.js';
import { type EncodedResponse, requireScalarHead, scalarScores } from './reward-model.js';

export interface PreferenceModelOptions<Role extends JudgeRole> extends JudgeNames<Role> {
  /** Has one scalar output: the logit that the response shown first is better. */
  readonly model: LanguageModel;
  /** A ComparisonEncoder (src/text) with the options that the model was trained with. */
  readonly encoder: Pick<ComparisonEncoder, 'compare'>;
  /** Preferences are 1, 0 or, for equal scores, 0.5; else the mean of both orders. Default true. */
  readonly hard?: boolean;
  /** Of one pass. Does not change results. Default 4096. */
  readonly maxTokens?: number;
  /** Dispose the model with the judge. Default false. */
  readonly owned?: boolean;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** From the logits of both orders; antisymmetric by construction. */
export const pairVerdict = (
  first: number | null,
  second: number | null,
  hard: boolean,
): Verdict => {
  if (first === null || second === null) return { preference: null };
  const orders = [sigmoid(first), sigmoid(second)] as const;
  // The logits decide: sigmoid loses differences where it saturates.
  const preference = hard ? (1 + Math.sign(first - second)) / 2 : (orders[0] + (1 - orders[1])) / 2;
  return { preference, orders };
};

/** Throws OPTION_INVALID when the model has no single scalar output. */
export const preferenceModelJudge = <Role extends JudgeRole = 'proxy'>(
  options: PreferenceModelOptions<Role>,
): PairJudge<Role> => {
  const { model, encoder, hard = true, maxTokens, owned = false } = options;
  const own = { model: true, encoder: true, hard: true, maxTokens: true, owned: true } as const;
  refuseUnknown('preferenceModelJudge', options, { ...judgeNames, ...own });
  if (maxTokens !== undefined) requireWhole('maxTokens', maxTokens);
  requireScalarHead(model, options.name);
  const encode = ({ prompt, first, second }: CompareRequest): EncodedResponse[] => {
    const { head, orders } = encoder.compare(prompt, first.text, second.text);
    return orders.map((response) => ({ prompt: head, response }));
  };
  return {
    kind: 'pair',
    ...judgeIdentity(options),
    compare: async (requests, ask = {}) => {
      const pass = { ...ask, ...(maxTokens ? { maxTokens } : {}) };
      const scores = await scalarScores(model, requests.flatMap(encode), pass);
      return requests.map((_, i) =>
        pairVerdict(scores[2 * i] ?? null, scores[2 * i + 1] ?? null, hard),
      );
    },
    dispose: async () => {
      if (owned) await model.dispose();
    },
  };
};
