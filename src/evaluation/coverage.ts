// How well data or a reference cover what a policy does (Song et al. 2024, arXiv 2406.01462,
// assumptions 4.1 and 4.2). Of enumerable policies all is exact; of any policy, the log-ratio along
// the responses of a dataset, which is what offline training sees of the KL.
import { type TokenGroup, type PassOptions, logProbsAlong } from '../engine/responses.js';
import type { Scorer } from '../engine/policy-model.js';
import { AlignlabError } from '../errors.js';
import { sumOf } from '../numbers.js';
import {
  eachEdge,
  exactKl,
  listResponses,
  logProbOf,
  requireSameSpace,
} from '../policies/exact.js';
import type { EnumerablePolicy } from '../policies/policy.js';
import { ended } from '../policies/space.js';
import { type Estimate, estimate } from './statistics.js';

const requirePositive = (name: string, value: number): void => {
  if (value > 0) return;
  throw new AlignlabError('OPTION_INVALID', `${name} must be above 0, got ${String(value)}.`);
};

export interface WorstResponse {
  /** max over responses of log pi / pi_ref, in nats. */
  readonly logRatio: number;
  readonly prompt: number;
  readonly tokens: Int32Array;
}

const worstAfter = (
  policy: EnumerablePolicy,
  reference: EnumerablePolicy,
  prompt: number,
): WorstResponse => {
  const { space } = policy;
  const [own, theirs] = [policy.edgeLogProbs(prompt), reference.edgeLogProbs(prompt)];
  const best = new Float64Array(space.states).fill(-Infinity);
  const along = new Int32Array(space.states);
  for (let state = space.states - 1; state >= 0; state -= 1) {
    eachEdge(space, state, (edge) => {
      const next = space.next[edge]!;
      const ratio = own[edge]! - theirs[edge]! + (next === ended ? 0 : best[next]!);
      if (ratio > best[state]!) [best[state], along[state]] = [ratio, edge];
    });
  }
  const tokens: number[] = [];
  for (let state = 0; state !== ended; state = space.next[along[state]!]!) {
    tokens.push(space.tokens[along[state]!]!);
  }
  return { logRatio: best[0]!, prompt, tokens: Int32Array.from(tokens) };
};

/**
 * The response whose probability has grown most: exp(logRatio) is the least C with pi <= C pi_ref,
 * the coverage coefficient of this policy (assumption 4.1 bounds it for all policies).
 */
export const maxRatio = (policy: EnumerablePolicy, reference: EnumerablePolicy): WorstResponse => {
  requireSameSpace(policy, reference);
  return policy.space.prompts
    .map((_, prompt) => worstAfter(policy, reference, prompt))
    .reduce((worst, one) => (one.logRatio > worst.logRatio ? one : worst));
};

/** The largest p with p log(p / q) + (1 - p) log((1 - p) / (1 - q)) <= radius, as log p. */
const largest = (logQ: number, radius: number): number => {
  if (-logQ <= radius) return 0;
  const q = Math.exp(logQ);
  const klAt = (p: number): number =>
    p * (Math.log(p) - logQ) + (1 - p) * (Math.log1p(-p) - Math.log1p(-q));
  let [low, high] = [q, 1];
  for (let i = 0; i < 100; i += 1) {
    const middle = (low + high) / 2;
    if (klAt(middle) <= radius) low = middle;
    else high = middle;
  }
  return Math.log(low);
};

export interface KlBall {
  /** KL(policy || reference), mean over prompts. */
  readonly kl: number;
  readonly inside: boolean;
  /** As of `maxRatio`. */
  readonly logRatio: number;
  /**
   * Of all policies within the radius at each prompt: the largest log pi / pi_ref that one of them
   * has, in closed form (assumption 4.2's constant, as a logarithm).
   */
  readonly bound: number;
}

/** Is the policy within so many nats of the reference, and what does that promise? */
export const klBall = (
  policy: EnumerablePolicy,
  reference: EnumerablePolicy,
  radius: number,
): KlBall => {
  requirePositive('radius', radius);
  const kl = exactKl(policy, reference);
  const bounds = reference.space.prompts.flatMap((_, prompt) =>
    listResponses(reference, prompt).map(({ logProb }) => largest(logProb, radius) - logProb),
  );
  const bound = bounds.reduce((most, one) => Math.max(most, one), -Infinity);
  return { kl, inside: kl <= radius, logRatio: maxRatio(policy, reference).logRatio, bound };
};

export interface Support {
  /** Distinct responses of the data, over all prompts. */
  readonly distinct: number;
  /** Probability under the policy of the data's responses, mean over the data's prompts. */
  readonly covered: number;
  /** 1 - covered: what no example says anything about. */
  readonly outside: number;
  /**
   * Effective number of the data's responses under the policy: exp of the entropy of the policy
   * restricted to them, mean over the data's prompts.
   */
  readonly effective: number;
  /** Of the responses of the data when they stand for the policy's (Kish): (sum w)^2 / sum w^2. */
  readonly effectiveSamples: number;
}

/** Distinct responses and how often each is in the data. */
const countsOf = (responses: readonly Int32Array[]): Map<string, [Int32Array, number]> => {
  const counts = new Map<string, [Int32Array, number]>();
  for (const tokens of responses) {
    const key = tokens.join();
    counts.set(key, [tokens, (counts.get(key)?.[1] ?? 0) + 1]);
  }
  return counts;
};

const supportAt = (policy: EnumerablePolicy, { prompt, responses }: TokenGroup): Support => {
  const index = policy.space.promptIndex(prompt);
  const found = [...countsOf(responses).values()].map(([tokens, count]) => ({
    p: Math.exp(logProbOf(policy, index, tokens)),
    share: count / responses.length,
  }));
  const covered = sumOf(found.map(({ p }) => p));
  const entropy = sumOf(found.map(({ p }) => (p > 0 ? -(p / covered) * Math.log(p / covered) : 0)));
  // Each of n count copies weighs p / share.
  const squares = sumOf(found.map(({ p, share }) => (p * p) / share));
  return {
    distinct: found.length,
    covered,
    outside: Math.max(0, 1 - covered),
    effective: covered > 0 ? Math.exp(entropy) : 0,
    effectiveSamples: squares > 0 ? (responses.length * covered * covered) / squares : 0,
  };
};

const byPrompt = (data: readonly TokenGroup[]): TokenGroup[] => {
  const groups = new Map<string, { prompt: Int32Array; responses: Int32Array[] }>();
  for (const { prompt, responses } of data) {
    const key = prompt.join();
    const group = groups.get(key) ?? { prompt, responses: [] };
    group.responses.push(...responses);
    groups.set(key, group);
  }
  return [...groups.values()];
};

/** What a dataset's responses are to a policy; exact. */
export const supportOf = (policy: EnumerablePolicy, data: readonly TokenGroup[]): Support => {
  const parts = byPrompt(data).map((group) => supportAt(policy, group));
  if (parts.length === 0) {
    throw new AlignlabError('OPTION_INVALID', 'The data is empty: there is no support to measure.');
  }
  const sum = (of: (part: Support) => number): number => sumOf(parts.map(of));
  return {
    distinct: sum(({ distinct }) => distinct),
    covered: sum(({ covered }) => covered) / parts.length,
    outside: sum(({ outside }) => outside) / parts.length,
    effective: sum(({ effective }) => effective) / parts.length,
    effectiveSamples: sum(({ effectiveSamples }) => effectiveSamples),
  };
};

/** Probability of what the data does not contain; `supportOf` says more. */
export const massOutside = (policy: EnumerablePolicy, data: readonly TokenGroup[]): number =>
  supportOf(policy, data).outside;

/**
 * E_D[log pi / pi_ref] over responses of a dataset, per response in nats. It is what a run sees of
 * its KL without samples of its own, and can be far below it, even negative: `exactKl` or
 * `measureKl` on the policy's own responses is the true one.
 */
export const offlineLogRatio = async (
  policy: Scorer,
  reference: Scorer,
  data: readonly TokenGroup[],
  options: PassOptions = {},
): Promise<Estimate> => {
  const own = await logProbsAlong(policy, data, options);
  const theirs = await logProbsAlong(reference, data, options);
  return estimate(
    own.flatMap((responses, i) =>
      responses.map((logProbs, r) => sumOf(logProbs) - sumOf(theirs[i]![r]!)),
    ),
  );
};

/** The same beside the true KL, of an enumerable policy. */
export const klBesideData = async (
  policy: EnumerablePolicy,
  reference: EnumerablePolicy,
  data: readonly TokenGroup[],
): Promise<{ readonly onData: Estimate; readonly kl: number }> => ({
  onData: await offlineLogRatio(policy, reference, data),
  kl: exactKl(policy, reference),
});
