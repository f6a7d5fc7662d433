// A policy small enough to be enumerated: a table of logits for each prefix of up to `depth`
// tokens, of which token 0 ends the response. Expectations over it are sums, not samples.
import type { Sequence } from '../../src/objectives/objective.js';
import { doubles, uniform } from './helpers.js';

export interface Tabular {
  readonly vocab: number;
  readonly depth: number;
  /** Prefix, joined by commas, to the logits of the next token. */
  readonly logits: ReadonlyMap<string, readonly number[]>;
}

const keyOf = (prefix: readonly number[]): string => prefix.join(',');

const prefixes = (vocab: number, depth: number): number[][] => {
  const longer = (prefix: number[]): number[][] =>
    prefix.length + 1 >= depth
      ? [prefix]
      : [prefix, ...Array.from({ length: vocab - 1 }, (_, i) => longer([...prefix, i + 1])).flat()];
  return longer([]);
};

/** Logits uniform in (-spread, spread). */
export const randomTabular = (
  seed: number,
  { vocab, depth, spread }: { vocab: number; depth: number; spread: number },
): Tabular => {
  const next = uniform(seed);
  const draw = (): number[] => Array.from({ length: vocab }, () => spread * (2 * next() - 1));
  return {
    vocab,
    depth,
    logits: new Map(prefixes(vocab, depth).map((prefix) => [keyOf(prefix), draw()])),
  };
};

/** The policy with its logits moved. */
export const moved = (policy: Tabular, by: (key: string, token: number) => number): Tabular => ({
  ...policy,
  logits: new Map(
    [...policy.logits].map(([key, row]) => [key, row.map((x, token) => x + by(key, token))]),
  ),
});

export const nextLogProbs = ({ logits }: Tabular, prefix: readonly number[]): number[] => {
  const row = logits.get(keyOf(prefix))!;
  const top = Math.max(...row);
  const normaliser = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
  return row.map((x) => x - normaliser);
};

/** Every response of the policy. */
export const responses = ({ vocab, depth }: Tabular): number[][] =>
  prefixes(vocab, depth).flatMap((prefix) =>
    Array.from({ length: vocab }, (_, token) => [...prefix, token]).filter(
      (tokens) => tokens.at(-1) === 0 || tokens.length === depth,
    ),
  );

export const logProbsOf = (policy: Tabular, tokens: readonly number[]): number[] =>
  tokens.map((token, t) => nextLogProbs(policy, tokens.slice(0, t))[token]!);

export const probabilityOf = (policy: Tabular, tokens: readonly number[]): number =>
  Math.exp(logProbsOf(policy, tokens).reduce((a, b) => a + b, 0));

/** sum over the next token of pi log(pi / reference) at each token of a response. */
const exactKlAlong = (policy: Tabular, reference: Tabular, tokens: readonly number[]): number[] =>
  tokens.map((_, t) => {
    const prefix = tokens.slice(0, t);
    const [own, other] = [nextLogProbs(policy, prefix), nextLogProbs(reference, prefix)];
    return own.reduce((sum, log, i) => sum + Math.exp(log) * (log - other[i]!), 0);
  });

/** What an objective would see of a response. */
export const sequenceOf = (
  policy: Tabular,
  reference: Tabular,
  tokens: readonly number[],
): Sequence => ({
  logProbs: doubles(logProbsOf(policy, tokens)),
  reference: doubles(logProbsOf(reference, tokens)),
  exactKl: doubles(exactKlAlong(policy, reference, tokens)),
});

/** KL(policy || reference) over whole responses. */
export const klOf = (policy: Tabular, reference: Tabular): number =>
  responses(policy).reduce((sum, tokens) => {
    const [own, other] = [policy, reference].map((one) =>
      logProbsOf(one, tokens).reduce((a, b) => a + b, 0),
    );
    return sum + Math.exp(own!) * (own! - other!);
  }, 0);

/** Flat, in the order of the prefixes: the gradient by the logits of sum_t slope_t log pi(y_t). */
export const backward = (
  policy: Tabular,
  tokens: readonly number[],
  slopes: ArrayLike<number>,
): Float64Array => {
  const offsets = new Map([...policy.logits.keys()].map((key, i) => [key, i * policy.vocab]));
  const gradient = new Float64Array(offsets.size * policy.vocab);
  tokens.forEach((token, t) => {
    const prefix = tokens.slice(0, t);
    const offset = offsets.get(keyOf(prefix))!;
    nextLogProbs(policy, prefix).forEach((log, i) => {
      gradient[offset + i]! += slopes[t]! * ((i === token ? 1 : 0) - Math.exp(log));
    });
  });
  return gradient;
};

/** Of a function of the policy, by all its logits; central differences. */
export const numericalGradient = (
  policy: Tabular,
  value: (policy: Tabular) => number,
): Float64Array => {
  const step = 1e-5;
  const keys = [...policy.logits.keys()];
  return Float64Array.from({ length: keys.length * policy.vocab }, (_, index) => {
    const [key, token] = [keys[Math.floor(index / policy.vocab)], index % policy.vocab];
    const at = (by: number): number =>
      value(moved(policy, (k, i) => (k === key && i === token ? by : 0)));
    return (at(step) - at(-step)) / (2 * step);
  });
};
