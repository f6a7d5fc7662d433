// Quantities of enumerable policies without sampling: sums over all responses, taken state by state.
import { AlignlabError } from '../errors.js';
import type { EnumerablePolicy } from './policy.js';
import { type ResponsePath, type ResponseSpace, ended } from './space.js';

export const requireSameSpace = (policy: EnumerablePolicy, reference: EnumerablePolicy): void => {
  if (policy.space === reference.space) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    'The two policies are over different responses. Make both over one ResponseSpace.',
  );
};

/** For each edge of a state, in order. */
export const eachEdge = (
  { firstEdge }: ResponseSpace,
  state: number,
  visit: (edge: number) => void,
): void => {
  for (let edge = firstEdge[state]!; edge < firstEdge[state + 1]!; edge += 1) visit(edge);
};

/** Probability that a response comes through each state. */
export const visits = (policy: EnumerablePolicy, prompt: number): Float64Array => {
  const { space } = policy;
  const logProbs = policy.edgeLogProbs(prompt);
  const found = new Float64Array(space.states);
  found[0] = 1;
  for (let state = 0; state < space.states; state += 1) {
    eachEdge(space, state, (edge) => {
      const next = space.next[edge]!;
      if (next !== ended) found[next]! += found[state]! * Math.exp(logProbs[edge]!);
    });
  }
  return found;
};

/** KL(policy || reference) of what is still to come, at each state; at 0 of whole responses. */
export const klToGo = (
  policy: EnumerablePolicy,
  reference: EnumerablePolicy,
  prompt: number,
): Float64Array => {
  requireSameSpace(policy, reference);
  const { space } = policy;
  const [own, theirs] = [policy.edgeLogProbs(prompt), reference.edgeLogProbs(prompt)];
  const found = new Float64Array(space.states);
  for (let state = space.states - 1; state >= 0; state -= 1) {
    eachEdge(space, state, (edge) => {
      const next = space.next[edge]!;
      const ahead = next === ended ? 0 : found[next]!;
      found[state]! += Math.exp(own[edge]!) * (own[edge]! - theirs[edge]! + ahead);
    });
  }
  return found;
};

const overPrompts = ({ space }: EnumerablePolicy, value: (prompt: number) => number): number =>
  space.prompts.reduce((sum, _, p) => sum + value(p), 0) / space.prompts.length;

/** KL(policy || reference) in nats, mean over the prompts; never below 0 but for rounding. */
export const exactKl = (policy: EnumerablePolicy, reference: EnumerablePolicy): number =>
  overPrompts(policy, (prompt) => klToGo(policy, reference, prompt)[0]!);

/**
 * Gradient of `exactKl` by the policy's parameters: at the logit of edge e of state s it is
 * P(s) pi(e) (log pi(e)/ref(e) + Q(next) - Q(s)), Q the KL to go.
 */
export const exactKlGradient = (
  policy: EnumerablePolicy,
  reference: EnumerablePolicy,
): Float64Array => {
  const { space } = policy;
  const byLogits = new Float64Array(space.prompts.length * space.edges);
  space.prompts.forEach((_, prompt) => {
    const [own, theirs] = [policy.edgeLogProbs(prompt), reference.edgeLogProbs(prompt)];
    const [through, ahead] = [visits(policy, prompt), klToGo(policy, reference, prompt)];
    for (let state = 0; state < space.states; state += 1) {
      eachEdge(space, state, (edge) => {
        const next = space.next[edge]!;
        const later = next === ended ? 0 : ahead[next]!;
        const advantage = own[edge]! - theirs[edge]! + later - ahead[state]!;
        byLogits[prompt * space.edges + edge] =
          (through[state]! * Math.exp(own[edge]!) * advantage) / space.prompts.length;
      });
    }
  });
  return policy.chain(byLogits);
};

/** log pi of a response, or of its beginning. */
export const logProbOf = (
  policy: EnumerablePolicy,
  prompt: number,
  tokens: ArrayLike<number>,
): number => {
  const logProbs = policy.edgeLogProbs(prompt);
  return policy.space.path(tokens).reduce((sum, edge) => sum + logProbs[edge]!, 0);
};

export interface ListedResponse extends ResponsePath {
  readonly logProb: number;
}

/** All responses to a prompt with their log-probabilities; OPTION_INVALID for too many. */
export const listResponses = (policy: EnumerablePolicy, prompt = 0): ListedResponse[] => {
  const logProbs = policy.edgeLogProbs(prompt);
  return policy.space.responses().map((response) => ({
    ...response,
    logProb: response.edges.reduce((sum, edge) => sum + logProbs[edge]!, 0),
  }));
};
