// Win rate of one policy over another by a judge, on a fixed list of prompts.
import type { LanguageModel } from '../engine/model.js';
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown } from '../options.js';
import { askScores, askVerdicts } from '../judges/checked.js';
import { preferenceOf } from '../judges/combine.js';
import type { CompareRequest, Judge, JudgedResponse } from '../judges/judge.js';
import type { Encoder } from '../text/encoding.js';
import { type EvaluationPrompt, type FreeSampling, drawResponses } from './samples.js';
import {
  type Estimate,
  type Interval,
  type ResamplingOptions,
  bootstrapInterval,
  estimate,
  mean,
  resamplingOptions,
  wilsonInterval,
} from './statistics.js';

export interface WinRate {
  /** Wins and half the ties over all that the judge could decide; null where it decided none. */
  readonly winRate: number | null;
  readonly wins: number;
  readonly ties: number;
  readonly losses: number;
  /** Prompts where the judge failed: no tie, and not part of any rate. */
  readonly failures: number;
  /** Prompts where the judge prefers the one shown first, or second, in both orders. */
  readonly positionFlips: number;
  readonly wilson: Interval | null;
  /** Over prompts. */
  readonly bootstrap: Interval | null;
  /** Mean P(first is better). */
  readonly preference: Estimate | null;
  /** Mean tokens of the responses: judges often like length. */
  readonly lengths: readonly [number, number];
  /** By prompt: 1, 0.5, 0, or null where the judge failed. */
  readonly outcomes: readonly (number | null)[];
  readonly judge: { readonly name: string; readonly version: string; readonly role: string };
}

export interface CompareOptions extends ResamplingOptions {
  readonly signal?: AbortSignal;
}

const compareOptions: OptionNames<CompareOptions> = { ...resamplingOptions, signal: true };

interface Decision {
  /** P(first is better), both orders taken together. */
  readonly preference: number | null;
  readonly flipped: boolean;
}

const failed: Decision = { preference: null, flipped: false };

const requestsFor = (
  prompts: readonly EvaluationPrompt[],
  first: readonly JudgedResponse[],
  second: readonly JudgedResponse[],
): CompareRequest[] =>
  prompts.map(({ text, tokens, columns }, i) => ({
    prompt: text,
    promptTokens: tokens,
    first: first[i]!,
    second: second[i]!,
    ...(columns ? { columns } : {}),
  }));

const byReward = async (
  judge: Judge & { kind: 'reward' },
  requests: readonly CompareRequest[],
  options: { signal?: AbortSignal },
): Promise<Decision[]> => {
  const asked = requests.flatMap(({ first, second, ...rest }) => [
    { ...rest, response: first },
    { ...rest, response: second },
  ]);
  const scores = await askScores(judge, asked, options);
  return requests.map((_, i) => {
    const [first = null, second = null] = scores.slice(2 * i, 2 * i + 2);
    if (first === null || second === null) return failed;
    return { preference: preferenceOf(first, second, false), flipped: false };
  });
};

/** Judges that do not say what they thought of each order are asked again in the other one. */
const byComparison = async (
  judge: Judge & { kind: 'pair' },
  requests: readonly CompareRequest[],
  options: { signal?: AbortSignal },
): Promise<Decision[]> => {
  const verdicts = await askVerdicts(judge, requests, options);
  const unsure = [...requests.keys()].filter(
    (i) => verdicts[i]!.preference !== null && !verdicts[i]!.orders,
  );
  const swapped = unsure.map((i) => {
    const { first, second, ...rest } = requests[i]!;
    return { ...rest, first: second, second: first };
  });
  const again = new Map<number, number | null>();
  (await askVerdicts(judge, swapped, options)).forEach(({ preference }, k) =>
    again.set(unsure[k]!, preference),
  );
  return verdicts.map(({ preference, orders }, i) => {
    if (preference === null) return failed;
    if (orders) return { preference, flipped: flips(...orders) };
    const other = again.get(i) ?? null;
    if (other === null) return failed;
    return { preference: (preference + 1 - other) / 2, flipped: flips(preference, other) };
  });
};

/** The same place was preferred in both orders. */
const flips = (firstOrder: number, secondOrder: number): boolean =>
  (firstOrder - 0.5) * (secondOrder - 0.5) > 0;

const meanLength = (responses: readonly JudgedResponse[]): number =>
  mean(responses.map(({ tokens }) => tokens.length));

/**
 * One response of each side to each prompt, judged in both orders. A preference of exactly 1/2 is a
 * tie. Throws OPTION_INVALID when the lists do not match.
 */
export const compareResponses = async (
  judge: Judge,
  prompts: readonly EvaluationPrompt[],
  first: readonly JudgedResponse[],
  second: readonly JudgedResponse[],
  options: CompareOptions = {},
): Promise<WinRate> => {
  refuseUnknown('compareResponses', options, compareOptions);
  if (prompts.length === 0 || [first, second].some(({ length }) => length !== prompts.length)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'A win rate needs prompts and a response of each side to each of them: there are ' +
        `${prompts.length} prompts, ${first.length} and ${second.length} responses.`,
    );
  }
  const { signal, ...resampling } = options;
  const ask = signal ? { signal } : {};
  const requests = requestsFor(prompts, first, second);
  const decisions =
    judge.kind === 'reward'
      ? await byReward(judge, requests, ask)
      : await byComparison(judge, requests, ask);
  const outcomes = decisions.map(({ preference }) =>
    preference === null ? null : (1 + Math.sign(preference - 0.5)) / 2,
  );
  const decided = outcomes.filter((outcome) => outcome !== null);
  const preferences = decisions.map(({ preference }) => preference).filter((p) => p !== null);
  const points = decided.reduce((sum, outcome) => sum + outcome, 0);
  const count = (value: number | null): number => outcomes.filter((o) => o === value).length;
  const some = decided.length > 0;
  return {
    winRate: some ? points / decided.length : null,
    wins: count(1),
    ties: count(0.5),
    losses: count(0),
    failures: count(null),
    positionFlips: decisions.filter(({ flipped }) => flipped).length,
    wilson: some ? wilsonInterval(points, decided.length, resampling.level) : null,
    bootstrap: some ? bootstrapInterval(decided, mean, resampling) : null,
    preference: some ? estimate(preferences) : null,
    lengths: [meanLength(first), meanLength(second)],
    outcomes,
    judge: { name: judge.name, version: judge.version, role: judge.role },
  };
};

export interface WinRateOptions extends CompareOptions {
  readonly judge: Judge;
  readonly prompts: readonly EvaluationPrompt[];
  readonly policy: LanguageModel;
  /** Another policy, or its responses to the prompts, drawn before. */
  readonly opponent: LanguageModel | readonly JudgedResponse[];
  readonly encoder: Pick<Encoder, 'decode'>;
  /** Of both sides. */
  readonly sampling?: FreeSampling;
}

const winRateOptions: OptionNames<WinRateOptions> = {
  ...compareOptions,
  judge: true,
  prompts: true,
  policy: true,
  opponent: true,
  encoder: true,
  sampling: true,
};

/** The responses of a fixed opponent, to be drawn once and compared with many policies. */
export const opponentResponses = async (
  opponent: LanguageModel,
  options: Pick<WinRateOptions, 'prompts' | 'encoder' | 'sampling' | 'seed' | 'signal'>,
): Promise<JudgedResponse[]> => {
  const { prompts, ...rest } = options;
  const drawn = await drawResponses(opponent, prompts, { ...rest, stream: 'opponent' });
  return drawn.map(([response]) => response!);
};

/**
 * Draws one response of each side to each prompt, from independent random streams, and has them
 * judged. A policy against itself wins half.
 */
export const winRate = async (options: WinRateOptions): Promise<WinRate> => {
  refuseUnknown('winRate', options, winRateOptions);
  const { judge, prompts, policy, opponent, encoder, sampling, ...rest } = options;
  const draw = {
    encoder,
    ...(sampling ? { sampling } : {}),
    ...(rest.seed === undefined ? {} : { seed: rest.seed }),
    ...(rest.signal ? { signal: rest.signal } : {}),
  };
  const drawn = await drawResponses(policy, prompts, { ...draw, stream: 'policy' });
  const first = drawn.map(([response]) => response!);
  const second = Array.isArray(opponent)
    ? (opponent as readonly JudgedResponse[])
    : await opponentResponses(opponent as LanguageModel, { ...draw, prompts });
  return compareResponses(judge, prompts, first, second, rest);
};
