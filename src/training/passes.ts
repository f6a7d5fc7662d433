// Packs examples into forward passes: each prompt once, its responses as its children, and as many
// examples in a pass as its budget of tokens holds. How a batch is cut changes no result beyond
// the rounding of sums.
import type { Segment } from '../engine/batch.js';
import { AlignlabError } from '../errors.js';
import type { Example } from '../text/example.js';

/** Where an example's segments are in a pass. */
export interface Place {
  /** Index of the example in the list that was planned. */
  readonly example: number;
  /** Segment of the prompt; none when it is empty, and then the responses are roots. */
  readonly prompt?: number;
  /** Segments of the responses. */
  readonly responses: readonly number[];
}

export interface Pass {
  readonly batch: readonly Segment[];
  readonly places: readonly Place[];
  readonly tokens: number;
}

export interface PassOptions {
  /** Tokens of a pass at most; an example that is longer alone makes a pass of its own. */
  readonly maxTokens: number;
  /** Prompts get log-probabilities too. */
  readonly scorePrompts?: boolean;
}

export const tokensOf = ({ prompt, responses }: Example): number =>
  responses.reduce((sum, { tokens }) => sum + tokens.length, prompt.length);

/** Tokens of a response that have log-probabilities: without a prompt the first has none. */
export const scoredTokens = ({ prompt, responses }: Example, response: number): number =>
  (responses[response]?.tokens.length ?? 0) - Number(prompt.length === 0);

export const checkExample = (example: Example): void => {
  const { kind, responses, origin } = example;
  const refuse = (what: string): never => {
    throw new AlignlabError('DATA_INVALID', `The example ${origin} ${what}`);
  };
  if (kind === 'pair' && responses.length !== 2) {
    refuse(`is a pair with ${responses.length} responses; it needs two: chosen, rejected.`);
  }
  if (kind === 'completion' && responses.length !== 1) {
    refuse(`is a completion with ${responses.length} responses; it needs one.`);
  }
  if (responses.length === 0) refuse('has no response. Leave out groups without samples.');
  const empty = responses.findIndex((_, r) => scoredTokens(example, r) < 1);
  if (empty >= 0) {
    refuse(
      `has a response (number ${empty + 1}) without a token to train on. ` +
        'Drop such rows when encoding, or allow longer sequences.',
    );
  }
};

const kindOrder = { pair: 0, completion: 1, group: 2 } as const;

class PassBuilder {
  readonly batch: Segment[] = [];
  readonly places: Place[] = [];
  tokens = 0;

  add(example: Example, index: number, scorePrompts: boolean): void {
    const { prompt, responses } = example;
    const root = this.batch.length;
    if (prompt.length > 0) this.batch.push({ tokens: prompt, scored: scorePrompts });
    const parent = prompt.length > 0 ? { parent: root } : {};
    const first = this.batch.length;
    for (const { tokens } of responses) this.batch.push({ tokens, ...parent });
    this.places.push({
      example: index,
      ...(prompt.length > 0 ? { prompt: root } : {}),
      responses: responses.map((_, r) => first + r),
    });
    this.tokens += tokensOf(example);
  }
}

/**
 * In the order of the examples, kinds apart: samples that are trained on beside pairs (HyPO) leave
 * the pairs' passes, and so every bit of their gradient, as they are without them.
 */
export const planPasses = (
  examples: readonly Example[],
  { maxTokens, scorePrompts = false }: PassOptions,
): Pass[] => {
  const order = [...examples.keys()].sort(
    (a, b) => kindOrder[examples[a]!.kind] - kindOrder[examples[b]!.kind] || a - b,
  );
  const passes: PassBuilder[] = [];
  let kind: string | undefined;
  for (const index of order) {
    const example = examples[index]!;
    const last = passes.at(-1);
    const fits = last && kind === example.kind && last.tokens + tokensOf(example) <= maxTokens;
    const pass = fits ? last : new PassBuilder();
    if (!fits) passes.push(pass);
    pass.add(example, index, scorePrompts);
    kind = example.kind;
  }
  return passes;
};
