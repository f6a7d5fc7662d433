// Log-probabilities of sampled responses under a model, such as the reference.
import { type Segment, joinBatches } from '../engine/batch.js';
import type { LanguageModel } from '../engine/model.js';
import { byBudget, defaultPassTokens } from '../judges/passes.js';

export interface Sampled {
  readonly prompt: Int32Array;
  readonly responses: readonly Int32Array[];
}

const segmentsOf = ({ prompt, responses }: Sampled): Segment[] => [
  { tokens: prompt, scored: false },
  ...responses.map((tokens) => ({ tokens, parent: 0 })),
];

const sizeOf = ({ prompt, responses }: Sampled): number =>
  responses.reduce((sum, { length }) => sum + length, prompt.length);

/** One array for each response of each prompt, in their order. Prompts must not be empty. */
export const scoreResponses = async (
  model: LanguageModel,
  groups: readonly Sampled[],
  options: { readonly maxTokens?: number; readonly signal?: AbortSignal } = {},
): Promise<Float32Array[][]> => {
  const { maxTokens = defaultPassTokens, signal } = options;
  const scored: Float32Array[][] = [];
  for (const part of byBudget(groups, sizeOf, maxTokens)) {
    const scores = await model.score(joinBatches(part.map(segmentsOf)), signal ? { signal } : {});
    let segment = 0;
    for (const { responses } of part) {
      segment += 1;
      scored.push(responses.map(() => scores.logProbsOf(segment++).slice()));
    }
  }
  return scored;
};
