// Exploratory preference optimisation: a pair of one sample of the policy and one of the reference,
// and a term that makes the reference's own responses less likely, so that new ones are tried.
import { AlignlabError } from '../errors.js';
import { defineObjective } from './define.js';
import { dpo } from './dpo.js';
import { ipo } from './ipo.js';
import { sumOf } from './math.js';
import type { Row, SequenceGradient } from './objective.js';
import { betaOption } from './pairwise.js';

/** 0 where the chosen one is the reference's sample, 1 where the rejected one is. */
const explorationSide = ({ sequences }: Row): number => {
  const marked = sequences.filter(({ fromReference }) => fromReference);
  if (marked.length === 1) return sequences[0]!.fromReference ? 0 : 1;
  throw new AlignlabError(
    'DATA_INVALID',
    `xpo takes pairs of one sample of the policy and one of the reference; found a pair with ` +
      `${marked.length} marked fromReference. Use the source that samples both.`,
  );
};

const added = (gradient: SequenceGradient, slope: number): SequenceGradient => ({
  ...gradient,
  logProbs: gradient.logProbs!.map((value) => value + slope),
});

export const xpo = defineObjective({
  name: 'xpo',
  title: 'Exploratory preference optimisation',
  paper: 'Xie et al. 2024, arXiv 2405.21046, algorithm 1',
  source: 'on-policy',
  options: {
    beta: betaOption(),
    alpha: {
      type: 'number',
      default: 1e-5,
      min: 0,
      help: "Weight of the log-probability of the reference's samples (optimism)",
    },
    lossType: {
      type: 'string',
      default: 'sigmoid',
      choices: ['sigmoid', 'ipo'],
      help: 'The loss on pairs: DPO or IPO, both on sums over tokens',
    },
  },
  make: ({ beta, alpha, lossType }) => {
    const contrastive = (lossType === 'ipo' ? ipo : dpo).make({ beta });
    return {
      rows: ['pair'],
      needs: { reference: true },
      evaluate: (rows, totals) => {
        const result = contrastive.evaluate(rows, totals);
        const sides = rows.map(explorationSide);
        const terms = rows.map((row, r) => alpha * sumOf(row.sequences[sides[r]!]!.logProbs));
        const gradients = result.gradients.map((pair, r) =>
          pair.map((gradient, s) =>
            s === sides[r] ? added(gradient, alpha / totals.pairs) : gradient,
          ),
        );
        const metrics = {
          ...result.metrics,
          'loss/dpo': { sum: result.loss * totals.pairs, weight: rows.length },
          'loss/xpo': { sum: sumOf(terms), weight: rows.length },
        };
        return { loss: result.loss + sumOf(terms) / totals.pairs, gradients, metrics };
      },
    };
  },
});
