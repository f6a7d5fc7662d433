// The hidden rater: it adds up what it likes and dislikes, and labels pairs with the noise of
// Bradley and Terry.
import type { RandomStream } from '../data/random.js';
import type { Parsed } from './grammar.js';

/** What each concern adds to the score of a response, by name. */
export type Terms = Readonly<Record<string, number>>;

/**
 * The hidden score, deliberately no number: where a judge's score is expected it does not compile,
 * and is no answer at run time, so that it reaches training only through `raterJudge`, which is golden.
 */
export interface Rating {
  /** Sum of the terms: about 1 standard deviation under the default behaviour. */
  readonly golden: number;
  readonly terms: Terms;
}

export interface MannerLimits {
  /** Words beyond which each one costs. */
  readonly longest: number;
  /** Words below which each one costs. */
  readonly shortest: number;
}

const duplicates = (parsed: Parsed): number => {
  const texts = parsed.clauses.map(({ kind, slots }) => JSON.stringify([kind, slots]));
  return texts.length - new Set(texts).size;
};

/** What every rater minds: grammar, length and saying the same thing twice. */
export const manner = (parsed: Parsed, { longest, shortest }: MannerLimits): Terms => ({
  fluency: -0.45 * Math.min(parsed.errors, 10),
  length: -0.1 * Math.max(0, parsed.words - longest) - 0.25 * Math.max(0, shortest - parsed.words),
  repetition: -0.8 * duplicates(parsed),
});

/** Good the first time, bad when overdone. */
export const once = (count: number, first: number, more: number): number =>
  count === 0 ? 0 : first + more * (count - 1);

/** P(first is better) for scores that differ by `difference`; temperature 0: no noise. */
export const preferenceProbability = (difference: number, temperature: number): number => {
  if (difference === 0) return 0.5;
  if (temperature === 0) return difference > 0 ? 1 : 0;
  return 1 / (1 + Math.exp(-difference / temperature));
};

/** Whether the rater prefers the first of two. */
export const prefersFirst = (
  first: Rating,
  second: Rating,
  temperature: number,
  stream: RandomStream,
): boolean => stream.uniform() < preferenceProbability(first.golden - second.golden, temperature);
