// Proximal policy optimisation with a critic: clipped policy and value losses, generalised
// advantages, KL penalty in the reward of each token.
import { gae, whiten } from './advantages.js';
import { adaptiveKl } from './adaptive-kl.js';
import { defineObjective } from './define.js';
import { sumOf } from './math.js';
import type { Adaptation, ObjectiveEntry, Row, Sequence, SequenceGradient } from './objective.js';
import { check, specs, type PpoOptions } from './ppo-options.js';
import {
  evaluateSamples,
  logRatios,
  rewardOf,
  sampledKl,
  type Tally,
  tokensOf,
} from './samples.js';
import { clippedSurrogate } from './surrogate.js';

/** The judge's score, less the penalty of a response that was cut off. */
const scoreOf = (sequence: Sequence, { missingEosPenalty }: PpoOptions): number =>
  rewardOf(sequence)! - (sequence.truncated ? (missingEosPenalty ?? 0) : 0);

/** -klCoef times the KL estimate at each token. */
const penalties = (sequence: Sequence, { klCoef, klEstimator }: PpoOptions): Float64Array => {
  if (klCoef === 0) return new Float64Array(tokensOf(sequence, 'behaviour').length);
  return sampledKl(sequence, klEstimator).map((kl) => -klCoef * kl);
};

/** Rewards of the response's tokens, the score on the last one: their sum is score - klCoef * (sum of KL estimates). */
export const tokenRewards = (sequence: Sequence, options: PpoOptions): Float64Array => {
  const rewards = penalties(sequence, options);
  rewards[rewards.length - 1]! += scoreOf(sequence, options);
  return rewards;
};

/** Whitened over all tokens of the judged responses of the batch, never over a part of it. */
const prepare = (rows: readonly Row[], options: PpoOptions): readonly Row[] => {
  const { gamma, lambda, whitenRewards } = options;
  const sequences = rows.flatMap((row) => row.sequences.filter((s) => rewardOf(s) !== null));
  const raw = sequences.map((sequence) => tokenRewards(sequence, options));
  const rewards = whitenRewards ? whiten(raw, { shiftMean: false }) : raw;
  const estimates = sequences.map((sequence, i) =>
    gae(rewards[i]!, tokensOf(sequence, 'oldValues'), { gamma, lambda }),
  );
  const advantages = whiten(estimates.map((estimate) => estimate.advantages));
  const found = new Map(
    sequences.map((sequence, i) => [
      sequence,
      {
        advantages: Float32Array.from(advantages[i]!),
        returns: Float32Array.from(estimates[i]!.returns),
      },
    ]),
  );
  return rows.map((row) => ({
    ...row,
    sequences: row.sequences.map((sequence) => ({ ...sequence, ...found.get(sequence) })),
  }));
};

/** 1/2 max((V - R)^2, (clip(V, old +- range) - R)^2) and its derivative by V. */
export const clippedValueLoss = (value: number, old: number, target: number, range: number) => {
  const clipped = Math.min(old + range, Math.max(old - range, value));
  const [free, held] = [(value - target) ** 2, (clipped - target) ** 2];
  const isClipped = held > free;
  return { loss: Math.max(free, held) / 2, slope: isClipped ? 0 : value - target, isClipped };
};

const valueGradient = (
  sequence: Sequence,
  { vfCoef, cliprangeValue }: PpoOptions,
  tokens: number,
  tally: Tally,
): { loss: number; slopes: Float32Array } => {
  const [old, returns] = [tokensOf(sequence, 'oldValues'), tokensOf(sequence, 'returns')];
  let loss = 0;
  const slopes = sequence.values!.map((value, t) => {
    const term = clippedValueLoss(value, old[t]!, returns[t]!, cliprangeValue);
    tally.add('loss/value_avg', term.loss);
    tally.add('val/clipfrac_avg', term.isClipped ? 1 : 0);
    loss += (vfCoef * term.loss) / tokens;
    return (vfCoef * term.slope) / tokens;
  });
  return { loss, slopes };
};

const policyGradient = (
  sequence: Sequence,
  { cliprange }: PpoOptions,
  tokens: number,
  tally: Tally,
): { loss: number; slopes: Float32Array } => {
  const advantages = tokensOf(sequence, 'advantages');
  const range = { epsilon: cliprange, epsilonHigh: cliprange };
  let loss = 0;
  const slopes = Float32Array.from(logRatios(sequence), (logRatio, t) => {
    const term = clippedSurrogate(logRatio, advantages[t]!, range);
    tally.add('loss/policy_avg', term.loss);
    tally.add('policy/approxkl_avg', logRatio ** 2 / 2);
    tally.add('policy/clipfrac_avg', term.clippedLow || term.clippedHigh ? 1 : 0);
    tally.add('val/ratio', term.ratio);
    loss += term.loss / tokens;
    return term.slope / tokens;
  });
  return { loss, slopes };
};

/**
 * TRL's names. objective/kl: mean over responses of the summed klEstimator; objective/entropy: of
 * -log pi of the response, both under the policy that drew it.
 */
const tallyObjective = (tally: Tally, sequence: Sequence, options: PpoOptions): void => {
  const score = scoreOf(sequence, options);
  const penalty = sumOf(penalties(sequence, options));
  tally.add('objective/scores', score);
  tally.add('objective/rlhf_reward', score + penalty);
  tally.add('objective/non_score_reward', penalty);
  tally.add('objective/entropy', -sumOf(tokensOf(sequence, 'behaviour')));
  if (!sequence.reference) return;
  tally.add('objective/kl', sumOf(sampledKl(sequence, options.klEstimator)));
};

const adaptation = (options: PpoOptions): { adaptation?: Adaptation } => {
  const { klTarget, klHorizon, klCoef } = options;
  if (klTarget === null) return {};
  return {
    adaptation: {
      start: klCoef,
      at: (coefficient) => ppo.make({ ...options, klCoef: coefficient }),
      next: (coefficient, rows) => {
        const kls = rows.flatMap(({ sequences }) => sequences.map((s) => sumOf(sampledKl(s))));
        if (kls.length === 0) return coefficient;
        const batch = { kl: sumOf(kls) / kls.length, samples: kls.length };
        return adaptiveKl(coefficient, batch, { target: klTarget, horizon: klHorizon });
      },
    },
  };
};

export const ppo: ObjectiveEntry = defineObjective({
  name: 'ppo',
  title: 'Proximal policy optimisation',
  paper:
    'Schulman et al. 2017, arXiv 1707.06347, eq. 7; with KL in the reward: Ziegler et al. 2019',
  source: 'on-policy',
  options: specs,
  make: (options) => {
    check(options);
    const { entropyCoef } = options;
    const evaluateOne = (
      sequence: Sequence,
      tokens: number,
      tally: Tally,
    ): { loss: number; gradient: SequenceGradient } => {
      const policy = policyGradient(sequence, options, tokens, tally);
      const value = valueGradient(sequence, options, tokens, tally);
      tallyObjective(tally, sequence, options);
      for (const entropy of sequence.entropies!) tally.add('policy/entropy_avg', entropy);
      const loss = policy.loss + value.loss;
      const gradient = { logProbs: policy.slopes, values: value.slopes };
      if (entropyCoef === 0) return { loss, gradient };
      const entropies = new Float32Array(policy.slopes.length).fill(-entropyCoef / tokens);
      const bonus = (entropyCoef * sumOf(sequence.entropies!)) / tokens;
      return { loss: loss - bonus, gradient: { ...gradient, entropies } };
    };
    return {
      rows: ['group'],
      needs: { reference: options.klCoef !== 0, values: true, entropies: true },
      ...adaptation(options),
      prepare: (rows) => prepare(rows, options),
      evaluate: (rows, { sampleTokens }) =>
        evaluateSamples(rows, (sequence, tally) => evaluateOne(sequence, sampleTokens, tally)),
    };
  },
});
