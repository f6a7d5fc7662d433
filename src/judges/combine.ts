// Judges made of judges.
import { AlignlabError } from '../errors.js';
import { refuseUnknown } from '../options.js';
import { askScores, askVerdicts } from './checked.js';
import { type JudgeNames, judgeIdentity, judgeNames } from './function-judge.js';
import type { CompareRequest, JudgeRole, PairJudge, RewardJudge, ScoreRequest } from './judge.js';

const scoreRequests = ({ first, second, ...rest }: CompareRequest): ScoreRequest[] => [
  { ...rest, response: first },
  { ...rest, response: second },
];

/** Bradley–Terry: P(first is better) = 1 / (1 + exp(second - first)); 0.5 only if they are equal. */
export const bradleyTerry = (first: number, second: number): number =>
  1 / (1 + Math.exp(second - first));

/**
 * Two rewards as a preference. soft: Bradley–Terry; hard: 1, 0, or 0.5 for equal rewards. A soft
 * preference so close to 1/2 that it rounds to it stays on the side of the better reward.
 */
export const preferenceOf = (first: number, second: number, hard: boolean): number => {
  if (first === second) return 0.5;
  if (hard) return first > second ? 1 : 0;
  const soft = bradleyTerry(first, second);
  if (soft !== 0.5) return soft;
  return first > second ? 0.5 + Number.EPSILON : 0.5 - Number.EPSILON;
};

/** A reward judge as a pair judge. It scores each response alone, so order cannot matter. */
export const rewardToPair = <Role extends JudgeRole>(
  judge: RewardJudge<Role>,
  options: { readonly hard?: boolean } = {},
): PairJudge<Role> => {
  const { hard = false } = options;
  refuseUnknown('rewardToPair', options, { hard: true });
  return {
    kind: 'pair',
    role: judge.role,
    name: `${judge.name} (${hard ? 'hard' : 'soft'} preference)`,
    version: judge.version,
    compare: async (requests, ask) => {
      const scores = await askScores(judge, requests.flatMap(scoreRequests), ask);
      return requests.map((_, i) => {
        const [first = null, second = null] = scores.slice(2 * i, 2 * i + 2);
        if (first === null || second === null) return { preference: null };
        return { preference: preferenceOf(first, second, hard) };
      });
    },
    dispose: async () => judge.dispose?.(),
  };
};

const requireJudges = (judges: readonly unknown[]): void => {
  if (judges.length > 0) return;
  throw new AlignlabError('OPTION_INVALID', 'A judge made of judges needs at least one.');
};

const disposeAll = async (judges: readonly { dispose?(): Promise<void> }[]): Promise<void> => {
  await Promise.all(judges.map(async (judge) => judge.dispose?.()));
};

const versions = (judges: readonly { readonly name: string; readonly version: string }[]): string =>
  judges.map(({ name, version }) => `${name}@${version}`).join('+');

/**
 * The majority of several pair judges: each votes for the side that it prefers, half for both in a
 * tie. Those that fail do not vote; no preference where all fail.
 */
export const majorityJudge = <Role extends JudgeRole>(
  judges: readonly PairJudge<Role>[],
  options: JudgeNames<Role>,
): PairJudge<Role> => {
  requireJudges(judges);
  refuseUnknown('majorityJudge', options, judgeNames);
  return {
    kind: 'pair',
    ...judgeIdentity({ version: versions(judges), ...options }),
    compare: async (requests, ask) => {
      const answers = await Promise.all(judges.map((judge) => askVerdicts(judge, requests, ask)));
      return requests.map((_, i) => {
        const votes = answers
          .map((verdicts) => verdicts[i]?.preference ?? null)
          .filter((preference) => preference !== null);
        if (votes.length === 0) return { preference: null, reason: 'every judge failed' };
        const first = votes.reduce((sum, p) => sum + (1 + Math.sign(p - 0.5)) / 2, 0);
        return { preference: first / votes.length };
      });
    },
    dispose: () => disposeAll(judges),
  };
};

/** A weighted sum of rewards; null where any judge of a weight other than 0 is. */
export const sumJudge = <Role extends JudgeRole>(
  terms: readonly { readonly judge: RewardJudge<Role>; readonly weight: number }[],
  options: JudgeNames<Role>,
): RewardJudge<Role> => {
  requireJudges(terms);
  refuseUnknown('sumJudge', options, judgeNames);
  const judges = terms.map(({ judge }) => judge);
  const weights = terms.map(({ weight }) => weight);
  const wrong = weights.find((weight) => !Number.isFinite(weight));
  if (wrong !== undefined) {
    throw new AlignlabError('OPTION_INVALID', `A judge's weight must be a number, got ${wrong}.`);
  }
  return {
    kind: 'reward',
    ...judgeIdentity({ version: versions(judges), ...options }),
    score: async (requests, ask) => {
      const answers = await Promise.all(judges.map((judge) => askScores(judge, requests, ask)));
      return requests.map((_, i) => {
        const counted = answers.map((scores) => scores[i] ?? null).filter((_, j) => weights[j]);
        if (counted.includes(null)) return null;
        return answers.reduce((sum, scores, j) => sum + weights[j]! * (scores[i] ?? 0), 0);
      });
    },
    dispose: () => disposeAll(judges),
  };
};
