// Results of a forward pass of an enumerable policy, and what they are made of.
import type { Coefficients } from '../engine/forward-pass.js';
import type { PolicyPass } from '../engine/policy-model.js';
import { Scores } from '../engine/scores.js';
import { AlignlabError } from '../errors.js';
import type { ResponseSpace } from './space.js';

/** Log-probabilities of each state's edges from logits, in place. */
export const normalise = (
  { firstEdge, states, edges, prompts }: ResponseSpace,
  logits: Float64Array,
) => {
  for (let p = 0; p < prompts.length; p += 1) {
    for (let s = 0; s < states; s += 1) {
      const own = logits.subarray(p * edges + firstEdge[s]!, p * edges + firstEdge[s + 1]!);
      let top = -Infinity;
      for (const logit of own) top = Math.max(top, logit);
      let sum = 0;
      for (const logit of own) sum += Math.exp(logit - top);
      const total = top + Math.log(sum);
      for (let e = 0; e < own.length; e += 1) own[e]! -= total;
    }
  }
  return logits;
};

export class EnumerablePass extends Scores implements PolicyPass {
  readonly #back: (coefficients: Coefficients) => void;
  #used = false;

  constructor(scores: Scores, back: (coefficients: Coefficients) => void) {
    super(scores);
    this.#back = back;
  }

  backward(coefficients: Coefficients): Promise<void> {
    if (this.#used) throw new AlignlabError('DISPOSED', 'The pass has been used up already.');
    this.#back(coefficients);
    this.dispose();
    return Promise.resolve();
  }

  dispose(): void {
    this.#used = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
