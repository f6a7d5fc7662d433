// Values along given responses (log-probabilities, exact KL), from passes of limited size. The
// engine's results do not depend on how the work is cut.
import { requireWhole } from '../options.js';
import { type Batch, joinBatches, promptWithResponses } from './batch.js';
import type { PolicyModel, Scorer } from './policy-model.js';

/**
 * Consecutive parts whose sizes add up to at most `budget`; an item that is larger has a part of
 * its own.
 */
export const byBudget = <Item>(
  items: readonly Item[],
  sizeOf: (item: Item) => number,
  budget: number,
): Item[][] => {
  const parts: Item[][] = [];
  let size = 0;
  for (const item of items) {
    const own = sizeOf(item);
    const part = parts.at(-1);
    if (part && size + own <= budget) {
      part.push(item);
      size += own;
    } else {
      parts.push([item]);
      size = own;
    }
  }
  return parts;
};

/** Tokens of one pass that only scores. */
export const defaultPassTokens = 4096;

/** One prompt with responses, none of them empty. */
export interface TokenGroup {
  readonly prompt: Int32Array;
  readonly responses: readonly Int32Array[];
}

export interface PassOptions {
  /** Tokens of one pass. Does not change results. Default 4096. */
  readonly maxTokens?: number;
  readonly signal?: AbortSignal;
}

interface PassResult {
  /** One for each response token, in order. */
  readonly values: Float32Array;
  readonly offsets: Int32Array;
}

const size = ({ prompt, responses }: TokenGroup): number =>
  responses.reduce((total, { length }) => total + length, prompt.length);

/** Values along each response of each group, from passes of limited size. */
const alongResponses = async (
  groups: readonly TokenGroup[],
  { maxTokens = defaultPassTokens }: PassOptions,
  pass: (batch: Batch) => Promise<PassResult>,
): Promise<Float32Array[][]> => {
  requireWhole('maxTokens', maxTokens);
  const found: Float32Array[][] = [];
  for (const part of byBudget(groups, size, maxTokens)) {
    const batch = joinBatches(
      part.map(({ prompt, responses }) => promptWithResponses(prompt, responses)),
    );
    const { values, offsets } = await pass(batch);
    let segment = 0;
    for (const { responses } of part) {
      segment += 1; // the prompt
      found.push(responses.map(() => values.slice(offsets[segment], offsets[++segment])));
    }
  }
  return found;
};

const withSignal = ({ signal }: PassOptions): { signal?: AbortSignal } =>
  signal ? { signal } : {};

/** log-probabilities of each response's tokens, in nats. */
export const logProbsAlong = (
  model: Scorer,
  groups: readonly TokenGroup[],
  options: PassOptions = {},
): Promise<Float32Array[][]> =>
  alongResponses(groups, options, async (batch) => {
    const { logProbs, offsets } = await model.score(batch, withSignal(options));
    return { values: logProbs, offsets };
  });

/** Exact KL(model || other) of the next-token distributions along each response, in nats. */
export const klAlong = (
  model: PolicyModel,
  other: PolicyModel,
  groups: readonly TokenGroup[],
  options: PassOptions = {},
): Promise<Float32Array[][]> =>
  alongResponses(groups, options, async (batch) => {
    const { kl, offsets } = await model.kl(other, batch, withSignal(options));
    return { values: kl, offsets };
  });
