// Toys: responses of one token, response i being token i; a true reward; pairs with Bradley-Terry
// labels. Training goes through the library's own loop, objectives and sources.
import { random } from '../../../data/random.js';
import type { EnumerablePolicy, ResponseSpace } from '../../../policies/index.js';
import { noPrompt } from '../../../policies/index.js';
import type { Example } from '../../../text/example.js';

export interface ToyWorld {
  readonly space: ResponseSpace;
  readonly pairs: readonly Example[];
  /** The reference, as a policy to train. */
  start(): EnumerablePolicy;
}

export const pairOf = (chosen: number, rejected: number, origin: string): Example => ({
  kind: 'pair',
  prompt: noPrompt,
  responses: [{ tokens: Int32Array.of(chosen) }, { tokens: Int32Array.of(rejected) }],
  origin,
});

export const responseIn = (pair: Example, place: 0 | 1): number => pair.responses[place]!.tokens[0]!;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export interface PairOptions {
  readonly rewards: ArrayLike<number>;
  /** Responses that may be compared: any two, each as likely. */
  readonly among: readonly number[];
  readonly count: number;
  readonly seed: number;
}

/** P(a is chosen over b) = sigmoid(r(a) - r(b)). */
export const labelledPairs = ({ rewards, among, count, seed }: PairOptions): Example[] =>
  Array.from({ length: count }, (_, i) => {
    const stream = random(seed, 'pair', i);
    const first = stream.below(among.length);
    const second = (first + 1 + stream.below(among.length - 1)) % among.length;
    const [a, b] = [among[first]!, among[second]!];
    const isFirst = stream.uniform() < sigmoid(rewards[a]! - rewards[b]!);
    return isFirst ? pairOf(a, b, `pair ${i}`) : pairOf(b, a, `pair ${i}`);
  });

/** The pairs as data, for the measures of coverage. */
export const groupsOf = (pairs: readonly Example[]) =>
  pairs.map(({ prompt, responses }) => ({
    prompt,
    responses: responses.map(({ tokens }) => tokens),
  }));
