// What objectives on judged samples share: reading rewards, behaviour and reference of groups, the
// KL in the reward, and the metrics of a batch of completions.
import { AlignlabError } from '../errors.js';
import { deviation, judged, returnsToGo, type Rewards } from './advantages.js';
import { klEstimators, type KlEstimator } from './kl-estimators.js';
import { sumOf } from './math.js';
import type { Surrogate } from './surrogate.js';
import type { Evaluation, Mean, Row, Sequence, SequenceGradient } from './objective.js';

const missing = (what: string, wayOut: string): AlignlabError =>
  new AlignlabError('DATA_INVALID', `A sampled response has no ${what}. ${wayOut}`);

/**
 * The judge's reward; null (NaN counts as such) where it could not tell. An absent or infinite one
 * is an error: DATA_INVALID, JUDGE_FAILED.
 */
export const rewardOf = ({ reward }: Sequence): number | null => {
  if (reward === undefined) throw missing('reward', 'Give the source of the samples a judge.');
  if (reward === null || Number.isNaN(reward)) return null;
  if (Number.isFinite(reward)) return reward;
  throw new AlignlabError(
    'JUDGE_FAILED',
    `A reward is ${reward}. A judge returns a finite number, or null where it cannot tell.`,
  );
};

export const rewardsOf = ({ sequences }: Row): Rewards => sequences.map(rewardOf);

/** A token array that `prepare` or the source must have filled in. */
export const tokensOf = (
  sequence: Sequence,
  name: 'behaviour' | 'reference' | 'exactKl' | 'oldValues' | 'advantages' | 'returns',
): Float32Array => {
  const array = sequence[name];
  const wayOut =
    name === 'advantages' || name === 'returns'
      ? 'Call prepare() on the whole batch of samples first.'
      : 'The trainer and the source of the samples fill it in.';
  if (!array) throw missing(name, wayOut);
  const tokens = sequence.logProbs.length;
  if (tokens > 0 && array.length !== tokens) {
    throw missing(`${name} for ${tokens} tokens, but ${array.length}`, wayOut);
  }
  return array;
};

/** log pi - log behaviour at each token: exactly 0 until the policy's first step after sampling. */
export const logRatios = (sequence: Sequence): Float64Array => {
  const behaviour = tokensOf(sequence, 'behaviour');
  return Float64Array.from(sequence.logProbs, (log, t) => log - behaviour[t]!);
};

/** An estimate of KL(pi || reference) at each token, for the policy that drew the response. */
export const sampledKl = (sequence: Sequence, estimator: KlEstimator = 'k1'): Float64Array => {
  const behaviour = tokensOf(sequence, 'behaviour');
  const reference = tokensOf(sequence, 'reference');
  const estimate = klEstimators[estimator];
  return Float64Array.from(behaviour, (log, t) => estimate(log - reference[t]!).value);
};

/**
 * Where the penalty -coefficient * k1 enters. reward: summed over the response, so that baselines
 * see it (TRL's RLOO). advantage: summed, after the baseline. token: after the baseline, at each
 * token what is still to come (OpenRLHF).
 */
export const klPlacements = ['reward', 'advantage', 'token'] as const;

export interface RewardShape {
  /** Of the KL penalty. */
  readonly coefficient: number;
  readonly placement: (typeof klPlacements)[number];
  /** Bounds of the judge's reward, before the penalty. */
  readonly min?: number;
  readonly max?: number;
}

const tokenAdvantages = (
  sequence: Sequence,
  advantage: number,
  { coefficient, placement }: RewardShape,
): Float32Array => {
  const advantages = new Float32Array(tokensOf(sequence, 'behaviour').length);
  if (rewardOf(sequence) === null) return advantages;
  if (coefficient === 0 || placement === 'reward') return advantages.fill(advantage);
  const kl = sampledKl(sequence);
  if (placement === 'advantage') return advantages.fill(advantage - coefficient * sumOf(kl));
  const ahead = returnsToGo(kl);
  return advantages.map((_, t) => advantage - coefficient * ahead[t]!);
};

/**
 * `rows` with advantages from rewards less the KL penalty. `advantages` takes the rewards by group
 * and returns an advantage for each; it sees null for what could not be judged.
 */
export const withAdvantages = (
  rows: readonly Row[],
  shape: RewardShape,
  advantages: (groups: readonly Rewards[]) => readonly (readonly number[])[],
): Row[] => {
  const { coefficient, placement, min = -Infinity, max = Infinity } = shape;
  const inReward = coefficient !== 0 && placement === 'reward';
  const groups = rows.map((row) =>
    row.sequences.map((sequence) => {
      const reward = rewardOf(sequence);
      if (reward === null) return null;
      const bounded = Math.min(max, Math.max(min, reward));
      return inReward ? bounded - coefficient * sumOf(sampledKl(sequence)) : bounded;
    }),
  );
  const found = advantages(groups);
  return rows.map((row, r) => ({
    ...row,
    sequences: row.sequences.map((sequence, s) => ({
      ...sequence,
      advantages: tokenAdvantages(sequence, found[r]![s]!, shape),
    })),
  }));
};

/** Means by name; a name appears with its first value. */
export class Tally {
  readonly #means: Record<string, { sum: number; weight: number }> = {};

  add(name: string, value: number, weight = 1): void {
    const mean = (this.#means[name] ??= { sum: 0, weight: 0 });
    mean.sum += value * weight;
    mean.weight += weight;
  }

  get means(): Readonly<Record<string, Mean>> {
    return this.#means;
  }
}

/**
 * TRL's names, over the batch's completions. reward_std: mean over prompts of the deviation (ddof
 * 1) within a group, which can be merged over parts of a batch; TRL 1.13 takes one over all.
 */
export const tallySamples = (tally: Tally, rows: readonly Row[]): void => {
  for (const row of rows) {
    const rewards = judged(rewardsOf(row));
    const spread = deviation(rewards, 1);
    for (const reward of rewards) tally.add('reward', reward);
    if (rewards.length > 1) tally.add('reward_std', spread);
    tally.add('frac_reward_zero_std', spread <= 1e-8 ? 1 : 0);
    for (const sequence of row.sequences) {
      const { length } = sequence.logProbs;
      tally.add('completions/mean_length', length);
      tally.add('completions/clipped_ratio', sequence.truncated ? 1 : 0);
      if (!sequence.truncated) tally.add('completions/mean_terminated_length', length);
      tally.add('completions/unjudged_ratio', rewardOf(sequence) === null ? 1 : 0);
    }
  }
};

/** TRL's names: how many ratios lost their gradient to the clip. */
export const tallyClipping = (tally: Tally, { clippedLow, clippedHigh }: Surrogate): void => {
  tally.add('clip_ratio/low_mean', clippedLow ? 1 : 0);
  tally.add('clip_ratio/high_mean', clippedHigh ? 1 : 0);
  tally.add('clip_ratio/region_mean', clippedLow || clippedHigh ? 1 : 0);
};

/** Derivatives in the rows' order. A response that was not judged gets none. */
export const gradientsOf = (
  rows: readonly Row[],
  gradient: (sequence: Sequence) => SequenceGradient,
): SequenceGradient[][] =>
  rows.map(({ sequences }) =>
    sequences.map((sequence) => (rewardOf(sequence) === null ? {} : gradient(sequence))),
  );

/** What each judged response adds to the loss and its gradient, and the metrics of the batch. */
export const evaluateSamples = (
  rows: readonly Row[],
  evaluate: (
    sequence: Sequence,
    tally: Tally,
  ) => { readonly loss: number; readonly gradient: SequenceGradient },
): Evaluation => {
  const tally = new Tally();
  tallySamples(tally, rows);
  let loss = 0;
  const gradients = gradientsOf(rows, (sequence) => {
    const one = evaluate(sequence, tally);
    loss += one.loss;
    return one.gradient;
  });
  return { loss, gradients, metrics: tally.means };
};

/** -sum_t A_t log pi_t over the number of samples: a step along A without ratio or clip. */
export const scoreFunctionLoss = (
  sequence: Sequence,
  samples: number,
): { loss: number; gradient: SequenceGradient } => {
  const advantages = tokensOf(sequence, 'advantages');
  let gain = 0;
  sequence.logProbs.forEach((logProb, t) => (gain += advantages[t]! * logProb));
  return {
    loss: -gain / samples,
    gradient: { logProbs: advantages.map((advantage) => -advantage / samples) },
  };
};
