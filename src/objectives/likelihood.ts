// Maximum likelihood of responses: the negative log-likelihood of some tokens of each row.
import { sumOf } from './math.js';
import type { Evaluation, OptionSpec, Row, SequenceGradient, Totals } from './objective.js';

export const normalizationOption = {
  type: 'string',
  default: 'token',
  choices: ['token', 'sequence'],
  help: 'Divide the summed loss by the number of tokens, or of responses',
} as const satisfies OptionSpec;

export interface Likelihood {
  /** Of a pair: which responses are learnt. */
  readonly targets: 'chosen' | 'rejected' | 'both';
  readonly normalization: 'token' | 'sequence';
  readonly includePrompt: boolean;
}

/** Places in `row.sequences` of the responses that are learnt. */
const learnt = (row: Row, targets: Likelihood['targets']): readonly number[] => {
  if (row.kind === 'completion') return [0];
  return { chosen: [0], rejected: [1], both: [0, 1] }[targets];
};

const divisorOf = (totals: Totals, { targets, normalization, includePrompt }: Likelihood) => {
  const chosen = targets === 'rejected' ? 0 : 1;
  const rejected = targets === 'chosen' ? 0 : 1;
  if (normalization === 'sequence') return totals.completions + (chosen + rejected) * totals.pairs;
  return (
    totals.completionTokens +
    chosen * totals.chosenTokens +
    rejected * totals.rejectedTokens +
    (includePrompt ? totals.promptTokens : 0)
  );
};

/** -sum log p over the tokens that are learnt, divided as `normalization` says. */
export const negativeLogLikelihood = (
  rows: readonly Row[],
  totals: Totals,
  settings: Likelihood,
): Evaluation => {
  const slope = -1 / divisorOf(totals, settings);
  const like = (values: Float32Array): Float32Array => new Float32Array(values.length).fill(slope);
  let sum = 0;
  let tokens = 0;
  const gradients = rows.map((row) => {
    const targets = learnt(row, settings.targets);
    const parts: SequenceGradient[] = row.sequences.map(() => ({}));
    for (const s of targets) {
      const { logProbs } = row.sequences[s]!;
      sum += sumOf(logProbs);
      tokens += logProbs.length;
      parts[s] = { logProbs: like(logProbs) };
    }
    const { promptLogProbs } = row.sequences[0]!;
    if (settings.includePrompt && promptLogProbs) {
      sum += sumOf(promptLogProbs);
      tokens += promptLogProbs.length;
      parts[0] = { ...parts[0], promptLogProbs: like(promptLogProbs) };
    }
    return parts;
  });
  // Per token whatever the normalisation: exp of it is the perplexity.
  return { loss: slope * sum, gradients, metrics: { nll_loss: { sum: -sum, weight: tokens } } };
};
