// A world of unit features and a linear reward, whose data leaves out the best responses.
import { random } from '../../../data/random.js';
import { ResponseSpace, logLinearPolicy, tabularPolicy } from '../../../policies/index.js';
import type { Extrapolation } from '../recipe.js';
import { type ToyWorld, labelledPairs, responseIn } from './world.js';

export type Features = 'log-linear' | 'one-hot';

export interface LinearWorld extends ToyWorld {
  readonly features: readonly (readonly number[])[];
  readonly rewards: readonly number[];
  readonly best: number;
  /** Responses that no pair has. */
  readonly unseen: readonly number[];
  /** How often each response is chosen, and rejected, as a share of all pairs. */
  readonly shares: { readonly chosen: Float64Array; readonly rejected: Float64Array };
}

export const dot = (a: readonly number[], b: ArrayLike<number>): number =>
  a.reduce((sum, x, i) => sum + x * b[i]!, 0);

const scaled = (vector: readonly number[], norm: number): number[] => {
  const length = Math.hypot(...vector);
  return vector.map((x) => (norm * x) / length);
};

const gaussians = (count: number, seed: number, ...keys: (string | number)[]): number[] => {
  const stream = random(seed, ...keys);
  return Array.from({ length: count }, () => stream.gaussian());
};

export const linearWorld = (recipe: Extrapolation, kind: Features, seed: number): LinearWorld => {
  const { responses, features: width, left, rewardNorm, pairs: count } = recipe;
  const features = Array.from({ length: responses }, (_, i) =>
    scaled(gaussians(width, seed, 'features', i), 1),
  );
  const reward = scaled(gaussians(width, seed, 'reward'), rewardNorm);
  const rewards = features.map((feature) => dot(feature, reward));
  const order = [...rewards.keys()].sort((a, b) => rewards[b]! - rewards[a]!);
  const among = order.slice(left);
  const pairs = labelledPairs({ rewards, among, count, seed });
  const shares = { chosen: new Float64Array(responses), rejected: new Float64Array(responses) };
  for (const pair of pairs) {
    shares.chosen[responseIn(pair, 0)]! += 1 / count;
    shares.rejected[responseIn(pair, 1)]! += 1 / count;
  }
  const space = ResponseSpace.of(features.map((_, i) => [i]));
  return {
    space,
    pairs,
    features,
    rewards,
    best: order[0]!,
    unseen: order.slice(0, left),
    shares,
    start: () =>
      kind === 'one-hot'
        ? tabularPolicy({ space })
        : logLinearPolicy({ space, features: (_, response) => features[response]! }),
  };
};
