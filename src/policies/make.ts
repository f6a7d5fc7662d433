// The two kinds of enumerable policies.
import { type Features, logLinearLogits, tabularLogits } from './parameters.js';
import { EnumerablePolicy } from './policy.js';
import type { ResponseSpace } from './space.js';

/** Logits by prompt and edge (of a state's edges, relative to one another). */
export type Logits = (prompt: number, edge: number) => number;

const baseOf = ({ prompts, edges }: ResponseSpace, logits: Logits = () => 0): Float64Array =>
  Float64Array.from({ length: prompts.length * edges }, (_, i) =>
    logits(Math.floor(i / edges), i % edges),
  );

export interface PolicyOptions {
  readonly space: ResponseSpace;
  /** Of the policy while its parameters are zero, as they are at first. Default: all 0. */
  readonly logits?: Logits;
  /** Default true. */
  readonly trainable?: boolean;
}

/** A logit of its own for each token that can come after each prompt and beginning. */
export const tabularPolicy = ({ space, logits, trainable = true }: PolicyOptions) => {
  const model = tabularLogits(space);
  const parameters = new Float64Array(model.parameters);
  return new EnumerablePolicy({ space, model, base: baseOf(space, logits), parameters, trainable });
};

/**
 * Logits z + <theta, phi>: of responses of one token, pi(y) proportional to exp(z(y) + <theta,
 * phi(y)>), the log-linear policies of theory. Longer ones are normalised token by token.
 */
export const logLinearPolicy = (options: PolicyOptions & { readonly features: Features }) => {
  const { space, logits, features, trainable = true } = options;
  const model = logLinearLogits(space, features);
  const parameters = new Float64Array(model.parameters);
  return new EnumerablePolicy({ space, model, base: baseOf(space, logits), parameters, trainable });
};
