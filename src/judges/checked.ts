// Asking a judge, with its answers checked: whatever is no answer becomes null, never a number. TRL
// turned a failed verdict of -1 into 1 - (-1) = 2 when it undid the swap of a pair.
import { AlignlabError } from '../errors.js';
import type {
  CompareRequest,
  Judge,
  JudgeRole,
  PairJudge,
  RewardJudge,
  ScoreRequest,
  Verdict,
} from './judge.js';

export interface AskOptions {
  readonly signal?: AbortSignal;
}

const requireCount = (judge: Judge, answers: readonly unknown[], count: number): void => {
  if (Array.isArray(answers) && answers.length === count) return;
  const found = Array.isArray(answers) ? `${answers.length} answers` : typeof answers;
  throw new AlignlabError(
    'JUDGE_FAILED',
    `The judge "${judge.name}" was asked ${count} questions and returned ${found}. ` +
      'It must return one answer for each request, null where it cannot tell.',
  );
};

/** One finite number or null for each request. */
export const askScores = async (
  judge: RewardJudge,
  requests: readonly ScoreRequest[],
  options: AskOptions = {},
): Promise<readonly (number | null)[]> => {
  if (requests.length === 0) return [];
  const scores = await judge.score(requests, options);
  requireCount(judge, scores, requests.length);
  // Adding 0 makes -0 a 0, so that a log replays the same number.
  return scores.map((score) => (Number.isFinite(score) ? Number(score) + 0 : null));
};

const isProbability = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= 1;

const checkedVerdict = (verdict: Verdict): Verdict => {
  const { preference, orders, reason } = verdict ?? {};
  const ordersHold = orders === undefined || orders.every(isProbability);
  if (isProbability(preference) && ordersHold) return verdict;
  const found = preference === null || preference === undefined ? 'none' : String(preference);
  return { preference: null, reason: reason ?? `no usable preference (found ${found})` };
};

/** One verdict for each request; its preference is from 0 to 1, or null. */
export const askVerdicts = async (
  judge: PairJudge,
  requests: readonly CompareRequest[],
  options: AskOptions = {},
): Promise<readonly Verdict[]> => {
  if (requests.length === 0) return [];
  const verdicts = await judge.compare(requests, options);
  requireCount(judge, verdicts, requests.length);
  return verdicts.map(checkedVerdict);
};

/** For programs without types: a golden judge must not train a policy. */
export const requireProxy = (judge: Judge): void => {
  if (judge.role === 'proxy') return;
  const role: JudgeRole = judge.role;
  throw new AlignlabError(
    'OPTION_INVALID',
    `The judge "${judge.name}" has the role "${role}"; a policy trains against a proxy judge. ` +
      'Label a dataset with labelPairs, or, to train the golden policy that others are compared ' +
      'with, pass toTrainGoldenPolicy(judge).',
  );
};

/**
 * The one way past the types: a golden judge for training the golden policy, the fixed opponent of
 * evaluations (Tang et al. 2024, section 4). The name says so wherever it is recorded.
 */
export function toTrainGoldenPolicy(judge: RewardJudge<'golden'>): RewardJudge<'proxy'>;
export function toTrainGoldenPolicy(judge: PairJudge<'golden'>): PairJudge<'proxy'>;
export function toTrainGoldenPolicy(judge: Judge<'golden'>): Judge<'proxy'>;
export function toTrainGoldenPolicy(judge: Judge<'golden'>): Judge<'proxy'> {
  const identity = {
    role: 'proxy',
    name: `golden-policy:${judge.name}`,
    version: judge.version,
    dispose: async () => judge.dispose?.(),
  } as const;
  return judge.kind === 'reward'
    ? { ...identity, kind: 'reward', score: (requests, options) => judge.score(requests, options) }
    : {
        ...identity,
        kind: 'pair',
        compare: (requests, options) => judge.compare(requests, options),
      };
}
