// Kahneman-Tversky optimisation: single responses, each labelled desirable or not.
import { AlignlabError } from '../errors.js';
import { defineObjective } from './define.js';
import { sigmoid, sumOf } from './math.js';
import type { Evaluation, Mean, Row, Totals } from './objective.js';
import { betaOption, meanOver } from './pairwise.js';

interface Judged {
  readonly sum: number;
  readonly logRatio: number;
  readonly desirable: boolean;
}

const weightOption = (label: string) =>
  ({ type: 'number', default: 1, min: 0, help: `Weight of ${label} responses` }) as const;

const judgedOf = ({ sequences, label }: Row, index: number): Judged => {
  const { logProbs, reference } = sequences[0]!;
  if (label === undefined) {
    const found = `Row ${index} has no label, which kto needs.`;
    throw new AlignlabError('DATA_INVALID', `${found} Give true for desirable, false for not.`);
  }
  const sum = sumOf(logProbs);
  return { sum, logRatio: sum - sumOf(reference!), desirable: label };
};

/** z0: mean log-ratio of mismatched responses, at least 0; a constant to the gradient. */
const klEstimate = (rows: readonly Row[]): number => {
  const sum = sumOf(rows.map(({ mismatched }) => mismatched!.policy - mismatched!.reference));
  return rows.length === 0 ? 0 : Math.max(0, sum / rows.length);
};

const classMetrics = (judged: readonly Judged[], beta: number): Record<string, Mean> => {
  const metrics: Record<string, Mean> = {};
  for (const [name, desirable] of [
    ['chosen', true],
    ['rejected', false],
  ] as const) {
    const members = judged.filter((one) => one.desirable === desirable);
    if (members.length === 0) continue;
    metrics[`rewards/${name}`] = meanOver(members, ({ logRatio }) => beta * logRatio);
    metrics[`logps/${name}`] = meanOver(members, ({ sum }) => sum);
  }
  const { 'rewards/chosen': chosen, 'rewards/rejected': rejected } = metrics;
  if (chosen && rejected) {
    const margin = chosen.sum / chosen.weight - rejected.sum / rejected.weight;
    metrics['rewards/margins'] = { sum: margin, weight: 1 };
  }
  return metrics;
};

export const kto = defineObjective({
  name: 'kto',
  title: 'Kahneman-Tversky optimisation',
  paper: 'Ethayarajh et al. 2024, arXiv 2402.01306, eq. 7',
  source: 'dataset',
  options: {
    beta: betaOption(),
    desirableWeight: weightOption('desirable'),
    undesirableWeight: weightOption('undesirable'),
    lossType: {
      type: 'string',
      default: 'kto',
      choices: ['kto', 'apo_zero_unpaired'],
      help: 'apo_zero_unpaired compares with the reference itself: no KL estimate',
    },
  },
  make: ({ beta, desirableWeight, undesirableWeight, lossType }) => {
    const estimates = lossType === 'kto';
    const evaluate = (rows: readonly Row[], totals: Totals): Evaluation => {
      const judged = rows.map(judgedOf);
      const kl = estimates ? klEstimate(rows) : 0;
      let loss = 0;
      const gradients = judged.map(({ logRatio, desirable }, i) => {
        const sign = desirable ? 1 : -1;
        const weight = (desirable ? desirableWeight : undesirableWeight) / totals.completions;
        const value = sign * beta * (logRatio - kl);
        loss += weight * sigmoid(-value);
        const slope = -weight * sign * beta * sigmoid(value) * sigmoid(-value);
        const tokens = rows[i]!.sequences[0]!.logProbs.length;
        return [{ logProbs: new Float32Array(tokens).fill(slope) }];
      });
      const metrics = classMetrics(judged, beta);
      const estimate = estimates ? { kl: { sum: kl, weight: 1 } } : {};
      return { loss, gradients, metrics: { ...metrics, ...estimate } };
    };
    return {
      rows: ['completion'],
      needs: { reference: true, ...(estimates ? { mismatched: true } : {}) },
      ...(estimates ? { coupled: true } : {}),
      evaluate,
      ...(desirableWeight === undesirableWeight ? { lossAtStart: () => desirableWeight / 2 } : {}),
    };
  },
});
