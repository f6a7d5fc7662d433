// What a sample was worth: baselines, normalisation, generalised advantage estimation. Numbers in,
// numbers out. A null reward is of a sample that could not be judged: it gets advantage 0 and
// stands in nobody's baseline.

export type Rewards = readonly (number | null)[];

/** First value plus the mean difference from it: exact for equal values of any size. */
export const mean = (values: readonly number[]): number => {
  const first = values[0] ?? 0;
  let sum = 0;
  for (const value of values) sum += value - first;
  return first + sum / Math.max(1, values.length);
};

/** Standard deviation; the divisor is n - ddof. 0 for fewer than ddof + 1 values. */
export const deviation = (values: readonly number[], ddof: number): number => {
  if (values.length <= ddof) return 0;
  const centre = mean(values);
  let sum = 0;
  for (const value of values) sum += (value - centre) ** 2;
  return Math.sqrt(sum / (values.length - ddof));
};

export const judged = (rewards: Rewards): number[] => rewards.filter((reward) => reward !== null);

/**
 * Each reward less the mean of the others' (Kool et al. 2019; RLOO, Ahmadian et al. 2024, eq. 7).
 * 0 where there are no others. The baseline is summed over the others alone, so that it does not
 * depend on the own reward even by rounding.
 */
export const leaveOneOut = (rewards: Rewards): number[] =>
  rewards.map((reward, own) => {
    const others = judged(rewards.filter((_, index) => index !== own));
    return reward === null || others.length === 0 ? 0 : reward - mean(others);
  });

/** Each reward less the mean of the given ones, its own included; over `scale` where that is given. */
export const centred = (rewards: Rewards, scale = 1): number[] => {
  const values = judged(rewards);
  const centre = mean(values);
  return rewards.map((reward) =>
    reward === null || values.length < 2 ? 0 : (reward - centre) / scale,
  );
};

/** By what GRPO divides: the deviation in each group, in the whole batch, or nothing. */
export type RewardScale = 'group' | 'batch' | 'none';

/**
 * (r - mean of the group) / (deviation + epsilon), Shao et al. 2024, section 4.1.2. A group of equal
 * rewards, or with fewer than two, gets exactly 0. TRL: ddof 1, epsilon 1e-4.
 */
export const groupNormalised = (
  groups: readonly Rewards[],
  { scale, ddof, epsilon = 1e-4 }: { scale: RewardScale; ddof: number; epsilon?: number },
): number[][] => {
  const batch = scale === 'batch' ? deviation(groups.flatMap(judged), ddof) : 0;
  return groups.map((rewards) => {
    if (scale === 'none') return centred(rewards);
    return centred(
      rewards,
      (scale === 'batch' ? batch : deviation(judged(rewards), ddof)) + epsilon,
    );
  });
};

/** sum over s >= t of gamma^(s - t) r_s. */
export const returnsToGo = (rewards: ArrayLike<number>, gamma = 1): Float64Array => {
  const returns = new Float64Array(rewards.length);
  let next = 0;
  for (let t = rewards.length - 1; t >= 0; t -= 1) {
    next = rewards[t]! + gamma * next;
    returns[t] = next;
  }
  return returns;
};

export interface GaeOptions {
  readonly gamma: number;
  readonly lambda: number;
  /** Value of the state after the last token: 0 where the episode ends there. */
  readonly bootstrap?: number;
}

/**
 * Generalised advantage estimation (Schulman et al. 2016, eq. 16) over one response:
 * A_t = d_t + gamma lambda A_(t+1), d_t = r_t + gamma V_(t+1) - V_t; returns are A + V.
 */
export const gae = (
  rewards: ArrayLike<number>,
  values: ArrayLike<number>,
  { gamma, lambda, bootstrap = 0 }: GaeOptions,
): { advantages: Float64Array; returns: Float64Array } => {
  const tokens = rewards.length;
  const advantages = new Float64Array(tokens);
  const returns = new Float64Array(tokens);
  let nextValue = bootstrap;
  let nextAdvantage = 0;
  for (let t = tokens - 1; t >= 0; t -= 1) {
    const error = rewards[t]! + gamma * nextValue - values[t]!;
    nextAdvantage = error + gamma * lambda * nextAdvantage;
    nextValue = values[t]!;
    advantages[t] = nextAdvantage;
    returns[t] = nextAdvantage + nextValue;
  }
  return { advantages, returns };
};

/**
 * Over all values of all arrays together: variance 1 (divisor n - 1) and mean 0, or the mean that
 * they had where `shiftMean` is false. TRL's epsilon.
 */
export const whiten = (
  arrays: readonly Float64Array[],
  { shiftMean = true, epsilon = 1e-8 }: { shiftMean?: boolean; epsilon?: number } = {},
): Float64Array[] => {
  const values = arrays.flatMap((array) => [...array]);
  const centre = mean(values);
  const scale = 1 / Math.sqrt(deviation(values, 1) ** 2 + epsilon);
  const shift = shiftMean ? 0 : centre;
  return arrays.map((array) => array.map((value) => (value - centre) * scale + shift));
};
