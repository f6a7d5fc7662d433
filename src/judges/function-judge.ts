// Any async function as a judge.
import PQueue from 'p-queue';
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown, requireWhole } from '../options.js';
import type { AskOptions } from './checked.js';
import type {
  CompareRequest,
  JudgeRole,
  PairJudge,
  RewardJudge,
  ScoreRequest,
  Verdict,
} from './judge.js';

export interface JudgeNames<Role extends JudgeRole> {
  readonly name: string;
  /** Change it when the answers change. Default '1'. */
  readonly version?: string;
  /** Default 'proxy'. */
  readonly role?: Role;
}

export interface FunctionOptions<Role extends JudgeRole> extends JudgeNames<Role> {
  /** Calls that run at once. Default 8. */
  readonly concurrency?: number;
}

/** null where the function cannot tell. What it throws is thrown on. */
export type ScoreFunction = (
  request: ScoreRequest,
  options: AskOptions,
) => number | null | Promise<number | null>;

/** P(first is better), or null where the function cannot tell. */
export type CompareFunction = (
  request: CompareRequest,
  options: AskOptions,
) => number | null | Promise<number | null>;

export const judgeIdentity = <Role extends JudgeRole>({
  name,
  version = '1',
  role,
}: JudgeNames<Role>): { readonly name: string; readonly version: string; readonly role: Role } => {
  if (typeof name !== 'string' || name === '') {
    throw new AlignlabError('OPTION_INVALID', 'A judge needs a name: it is recorded with labels.');
  }
  // Only where no role is given does the type parameter take its default, which is 'proxy'.
  return { name, version, role: role ?? ('proxy' as Role) };
};

export const judgeNames: OptionNames<JudgeNames<JudgeRole>> = {
  name: true,
  version: true,
  role: true,
};

/** All results, in order; the first failure rejects and starts no more calls. */
export const inParallel = async <Request, Answer>(
  requests: readonly Request[],
  concurrency: number,
  answer: (request: Request) => Answer | Promise<Answer>,
  { signal }: AskOptions = {},
): Promise<Answer[]> => {
  const queue = new PQueue({ concurrency });
  const jobs = requests.map((request) => async () => {
    signal?.throwIfAborted();
    return answer(request);
  });
  try {
    return await queue.addAll(jobs);
  } finally {
    queue.clear();
  }
};

/** A reward judge from a function of one response. */
export const functionJudge = <Role extends JudgeRole = 'proxy'>(
  options: FunctionOptions<Role>,
  score: ScoreFunction,
): RewardJudge<Role> => {
  const { concurrency = 8 } = options;
  refuseUnknown('functionJudge', options, { ...judgeNames, concurrency: true });
  requireWhole('concurrency', concurrency);
  return {
    kind: 'reward',
    ...judgeIdentity(options),
    score: (requests, ask = {}) =>
      inParallel(requests, concurrency, (request) => score(request, ask), ask),
  };
};

export interface FunctionPairOptions<Role extends JudgeRole> extends FunctionOptions<Role> {
  /** The function may favour what it sees first: it is asked in both orders. Default true. */
  readonly bothOrders?: boolean;
}

/**
 * P(first is better) from P(the one shown first is better) in both orders. An answer that is missing
 * in either order leaves no preference.
 */
export const symmetric = (first: number | null, second: number | null): Verdict =>
  first === null || second === null
    ? { preference: null }
    : { preference: (first + (1 - second)) / 2, orders: [first, second] };

export const swapped = (request: CompareRequest): CompareRequest => ({
  ...request,
  first: request.second,
  second: request.first,
});

/** A pair judge from a function of two responses. */
export const functionPairJudge = <Role extends JudgeRole = 'proxy'>(
  options: FunctionPairOptions<Role>,
  compare: CompareFunction,
): PairJudge<Role> => {
  const { concurrency = 8, bothOrders = true } = options;
  const known = { ...judgeNames, concurrency: true, bothOrders: true } as const;
  refuseUnknown('functionPairJudge', options, known);
  requireWhole('concurrency', concurrency);
  return {
    kind: 'pair',
    ...judgeIdentity(options),
    compare: async (requests, ask = {}) => {
      const shown = bothOrders ? requests.flatMap((each) => [each, swapped(each)]) : requests;
      const found = await inParallel(shown, concurrency, (each) => compare(each, ask), ask);
      if (!bothOrders) return found.map((preference) => ({ preference }));
      return requests.map((_, i) => symmetric(found[2 * i] ?? null, found[2 * i + 1] ?? null));
    },
  };
};
