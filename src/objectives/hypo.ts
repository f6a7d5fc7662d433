// HyPO, hybrid preference optimisation: a contrastive loss on pairs of a dataset, and the reverse
// KL on unlabelled samples of the policy in training. No judge has a part in it.
//
// The gradient of KL(pi || ref) is E[log(pi/ref) grad log pi], a score-function estimate: each
// sample's log-ratio is a number that weighs its log-probability's gradient. To differentiate the
// sampled mean of log pi - log ref instead is a mistake that shows nowhere: that gradient's
// expectation is exactly zero, and the run becomes one with lambda 0. So nothing here computes a
// derivative of the KL estimate: `weights` says by what each token's log-probability is moved.
import { AlignlabError } from '../errors.js';
import { leaveOneOut, returnsToGo } from './advantages.js';
import { defineObjective } from './define.js';
import { hypoOptions } from './hypo-options.js';
import { sumOf } from './math.js';
import type { Evaluation, Row, Sequence, SequenceGradient } from './objective.js';
import { Tally, tokensOf } from './samples.js';

/** No label may reach the online path: RUN_INVALID for a sample with a reward. */
const refuseLabels = ({ sequences }: Row): void => {
  if (sequences.every(({ reward, advantages }) => reward === undefined && !advantages)) return;
  throw new AlignlabError(
    'RUN_INVALID',
    'A sample for the KL term of hypo carries a reward; its online samples are unlabelled. ' +
      'Take the judge out of their source, or use an objective that learns from rewards.',
  );
};

const logRatios = (sequence: Sequence): Float64Array => {
  const reference = tokensOf(sequence, 'reference');
  return Float64Array.from(sequence.logProbs, (log, t) => log - reference[t]!);
};

declare const ofScoreFunction: unique symbol;

/**
 * By what the gradient of each token's log-probability is multiplied. Derivatives of an estimate of
 * the KL (the slopes of kl-estimators.ts) are plain numbers and do not pass for such weights.
 */
export type ScoreWeights = Float64Array & { readonly [ofScoreFunction]: true };

type Weights = (samples: readonly Sequence[]) => readonly ScoreWeights[];

/** From the values that the samples have: numbers, of which no derivative is taken. */
const weighing = (values: Float64Array): ScoreWeights => values as ScoreWeights;

const spread = (samples: readonly Sequence[], values: readonly number[]): ScoreWeights[] =>
  samples.map(({ logProbs }, i) => weighing(new Float64Array(logProbs.length).fill(values[i]!)));

/** The one way from the KL to a gradient: `scale` times the sum of w_t grad log pi(y_t). */
export const scoreGradient = (weights: ScoreWeights, scale: number): SequenceGradient => ({
  logProbs: Float32Array.from(weights, (weight) => scale * weight),
});

/**
 * Unbiased weights w_t with E[sum_t w_t grad log pi(y_t)] = grad KL(pi || ref), by what is taken
 * off the log-ratios l_t to lower their variance; K_t is the exact KL at token t given its past.
 */
export const klWeights = {
  /** sum_s l_s: Song et al. 2024 without a baseline. */
  none: (samples) =>
    spread(
      samples,
      samples.map((sample) => sumOf(logRatios(sample))),
    ),
  /** Less the mean over the prompt's other samples. */
  rloo: (samples) => {
    if (samples.length < 2) {
      throw new AlignlabError(
        'DATA_INVALID',
        'The rloo baseline of hypo needs two samples or more of each prompt; found one. ' +
          'Draw more, or choose the baseline token or exact.',
      );
    }
    return spread(samples, leaveOneOut(samples.map((sample) => sumOf(logRatios(sample)))));
  },
  /** sum_(s >= t) l_s: what came before token t has no part in its gradient. */
  token: (samples) => samples.map((sample) => weighing(returnsToGo(logRatios(sample)))),
  /** l_t - K_t + sum_(s > t) K_s: each later log-ratio is replaced by its expectation. */
  exact: (samples) =>
    samples.map((sample) => {
      const [ratios, kl] = [logRatios(sample), tokensOf(sample, 'exactKl')];
      const ahead = returnsToGo(kl);
      return weighing(ratios.map((ratio, t) => ratio - kl[t]! + (ahead[t + 1] ?? 0)));
    }),
} as const satisfies Readonly<Record<string, Weights>>;

/** TRL's name. Above 0 the samples are not of the policy as it is, and the gradient is biased. */
const tallyAge = (tally: Tally, { logProbs, behaviour }: Sequence): void => {
  behaviour?.forEach((log, t) => {
    tally.add('sampling/sampling_logp_difference/mean', Math.abs(logProbs[t]! - log));
  });
};

/**
 * Adds the KL term of the group rows to `tally`; returns the loss's share, lambda times the sum of
 * the responses' KL over all samples, and its gradients.
 */
const klTerm = (
  groups: readonly Row[],
  { lambda, baseline }: { lambda: number; baseline: keyof typeof klWeights },
  total: number,
  tally: Tally,
): { loss: number; gradients: SequenceGradient[][] } => {
  let loss = 0;
  const gradients = groups.map(({ sequences }) => {
    for (const sequence of sequences) {
      const exact = baseline === 'exact' ? tokensOf(sequence, 'exactKl') : null;
      const kl = sumOf(exact ?? logRatios(sequence));
      tally.add('objective/kl', kl);
      tallyAge(tally, sequence);
      tally.add('completions/mean_length', sequence.logProbs.length);
      tally.add('completions/clipped_ratio', sequence.truncated ? 1 : 0);
      loss += (lambda * kl) / total;
    }
    const scale = lambda / total;
    return klWeights[baseline](sequences).map((weights) => scoreGradient(weights, scale));
  });
  return { loss, gradients };
};

const withoutGradient = ({ sequences }: Row): SequenceGradient[] => sequences.map(() => ({}));

const nothing: Evaluation = { loss: 0, gradients: [], metrics: {} };

export const hypo = defineObjective({
  name: 'hypo',
  title: 'Hybrid preference optimisation: offline pairs, online reverse KL',
  paper: 'Song et al. 2024, arXiv 2406.01462, algorithm 1',
  source: 'hybrid',
  options: hypoOptions.specs,
  make: (options) => {
    const { lambda, baseline } = options;
    const offline = hypoOptions.offline(options);
    const isExact = lambda > 0 && baseline === 'exact';
    return {
      rows: ['pair', 'group'],
      needs: {
        ...offline.needs,
        ...(lambda > 0 ? { reference: true } : {}),
        ...(isExact ? { exactKl: true } : {}),
      },
      ...(offline.lossAtStart ? { lossAtStart: () => offline.lossAtStart!() } : {}),
      evaluate: (rows, totals) => {
        const pairs = rows.filter(({ kind }) => kind === 'pair');
        const groups = rows.filter(({ kind }) => kind === 'group');
        groups.forEach(refuseLabels);
        const contrast = pairs.length === 0 ? nothing : offline.evaluate(pairs, totals);
        if (lambda === 0 || groups.length === 0) {
          const pairGradients = contrast.gradients.values();
          const gradients = rows.map((row) =>
            row.kind === 'pair' ? pairGradients.next().value! : withoutGradient(row),
          );
          return { ...contrast, gradients };
        }
        const tally = new Tally();
        const kl = klTerm(groups, { lambda, baseline }, totals.samples, tally);
        const next = { pair: contrast.gradients.values(), group: kl.gradients.values() };
        return {
          loss: contrast.loss + kl.loss,
          gradients: rows.map(({ kind }) => next[kind as 'pair' | 'group'].next().value!),
          metrics: { ...contrast.metrics, ...tally.means },
        };
      },
    };
  },
});
