// Group-relative policy optimisation and its relatives: rewards normalised within the samples of
// one prompt, a clipped ratio for each token (or one for the response: GSPO), KL in the loss.
import { groupNormalised } from './advantages.js';
import { defineObjective } from './define.js';
import { grpoOptions, type GrpoOptions } from './grpo-options.js';
import { klEstimators } from './kl-estimators.js';
import { sumOf } from './math.js';
import type { Row, Sequence, Totals } from './objective.js';
import {
  gradientsOf,
  logRatios,
  Tally,
  tallyClipping,
  tallySamples,
  tokensOf,
  withAdvantages,
} from './samples.js';
import { clippedSurrogate, ratioOf } from './surrogate.js';

/** What is left out of the loss, though it was judged and stands in its group's mean. */
const isMasked = (sequence: Sequence, { maskTruncatedCompletions }: GrpoOptions): boolean =>
  maskTruncatedCompletions && sequence.truncated === true;

const countedTokens = (rows: readonly Row[], totals: Totals, options: GrpoOptions): number => {
  if (!options.maskTruncatedCompletions) return totals.sampleTokens;
  const counted = rows.flatMap(({ sequences }) => sequences.filter((s) => !isMasked(s, options)));
  return Math.max(1, sumOf(counted.map(({ logProbs }) => logProbs.length)));
};

/** By what one token's loss is divided. `tokens`: all of the normalisation that are not masked. */
const divisor = (
  { lossType, maxCompletionLength }: GrpoOptions,
  { length, samples, tokens }: { length: number; samples: number; tokens: number },
): number => {
  if (lossType === 'grpo') return samples * length;
  return lossType === 'dr_grpo' ? samples * maxCompletionLength! : tokens;
};

interface TokenTerm {
  readonly loss: number;
  /** By the token's log-probability. */
  readonly slope: number;
}

/** Chen et al. 2025 (MiniMax-M1), eq. 4: the capped ratio is a weight, and no token is dropped. */
const cispo = (logProb: number, logRatio: number, advantage: number, cap: number) => {
  const { ratio } = ratioOf(logRatio);
  const weight = Math.min(ratio, cap);
  return {
    loss: -weight * advantage * logProb,
    slope: -weight * advantage,
    clipped: ratio > cap && advantage > 0,
  };
};

/** The response's log-ratios; GSPO's is their mean, the same at each token (Zheng 2025, eq. 7). */
const importance = (sequence: Sequence, { importanceSamplingLevel }: GrpoOptions): Float64Array => {
  const ratios = logRatios(sequence);
  if (importanceSamplingLevel === 'token') return ratios;
  // d(mean) / d(one token) is 1/length, and the loss at each of the `length` tokens depends on it:
  // a token's slope is the ratio's own.
  return ratios.fill(sumOf(ratios) / ratios.length);
};

const sequenceTerms = (sequence: Sequence, options: GrpoOptions, tally: Tally): TokenTerm[] => {
  const { beta, lossType, epsilon, delta } = options;
  const epsilonHigh = options.epsilonHigh ?? epsilon;
  const advantages = tokensOf(sequence, 'advantages');
  const reference = beta === 0 ? null : tokensOf(sequence, 'reference');
  const policyTerm = (logRatio: number, t: number): TokenTerm => {
    if (lossType === 'cispo') {
      const term = cispo(sequence.logProbs[t]!, logRatio, advantages[t]!, epsilonHigh);
      tally.add('cispo_clip_ratio', term.clipped ? 1 : 0);
      return term;
    }
    const term = clippedSurrogate(logRatio, advantages[t]!, { epsilon, epsilonHigh, delta });
    // A ratio of the whole response counts once.
    if (t === 0 || options.importanceSamplingLevel === 'token') tallyClipping(tally, term);
    return term;
  };
  return Array.from(importance(sequence, options), (logRatio, t) => {
    const { loss, slope } = policyTerm(logRatio, t);
    if (!reference) return { loss, slope };
    const kl = klEstimators.k3(sequence.logProbs[t]! - reference[t]!);
    tally.add('kl', kl.value);
    return { loss: loss + beta * kl.value, slope: slope + beta * kl.slope };
  });
};

export const grpo = defineObjective({
  name: 'grpo',
  title: 'Group-relative policy optimisation (and Dr. GRPO, DAPO, GSPO, CISPO)',
  paper:
    'Shao et al. 2024, arXiv 2402.03300, eq. 3; Dr. GRPO: 2503.20783; DAPO: 2503.14476; ' +
    'GSPO: 2507.18071; CISPO: 2506.13585',
  source: 'on-policy',
  options: grpoOptions.specs,
  make: (options) => {
    grpoOptions.check(options);
    const { beta, entropyCoef, scaleRewards, ddof, lossType } = options;
    const countsTokens = entropyCoef !== 0 || (lossType !== 'grpo' && lossType !== 'dr_grpo');
    return {
      rows: ['group'],
      needs: { reference: beta !== 0, entropies: true },
      // Totals do not say how many tokens the mask leaves.
      ...(options.maskTruncatedCompletions && countsTokens ? { coupled: true } : {}),
      prepare: (rows) =>
        withAdvantages(rows, { coefficient: 0, placement: 'reward' }, (groups) =>
          groupNormalised(groups, { scale: scaleRewards, ddof }),
        ),
      evaluate: (rows, totals) => {
        const tally = new Tally();
        tallySamples(tally, rows);
        const tokens = countedTokens(rows, totals, options);
        let loss = 0;
        const gradients = gradientsOf(rows, (sequence) => {
          if (isMasked(sequence, options)) return {};
          const { length } = sequence.logProbs;
          const by = divisor(options, { length, samples: totals.samples, tokens });
          const terms = sequenceTerms(sequence, options, tally);
          loss += sumOf(terms.map((term) => term.loss)) / by;
          const logProbs = Float32Array.from(terms, ({ slope }) => slope / by);
          if (entropyCoef === 0) return { logProbs };
          loss -= (entropyCoef * sumOf(sequence.entropies!)) / tokens;
          return { logProbs, entropies: new Float32Array(length).fill(-entropyCoef / tokens) };
        });
        return { loss, gradients, metrics: tally.means };
      },
    };
  },
});
