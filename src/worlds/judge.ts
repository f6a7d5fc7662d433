// The hidden rater as judges. They are golden: no proxy can be made of a rating.
import { contentHash } from '../data/content-hash.js';
import { AlignlabError } from '../errors.js';
import { functionJudge, functionPairJudge } from '../judges/function-judge.js';
import type { PairJudge, RewardJudge } from '../judges/judge.js';
import type { Text } from '../text/example.js';
import { preferenceProbability } from './rating.js';
import type { World } from './world.js';

const promptOf = (prompt: Text): string => {
  if (typeof prompt === 'string') return prompt;
  throw new AlignlabError('DATA_INVALID', 'Prompts of a world are texts, not dialogues.');
};

const identity = (world: World) =>
  ({
    name: `rater of ${world.name}`,
    version: contentHash(JSON.stringify(world.describe())).slice(0, 16),
    role: 'golden',
  }) as const;

/** The hidden score without noise. */
export const raterJudge = (world: World): RewardJudge<'golden'> =>
  functionJudge(
    identity(world),
    ({ prompt, response }) => world.rate(promptOf(prompt), response.text).golden,
  );

/** P(first is better) under the rater's noise. */
export const raterPairJudge = (world: World): PairJudge<'golden'> =>
  functionPairJudge({ ...identity(world), bothOrders: false }, ({ prompt, first, second }) => {
    const [a, b] = [first, second].map(({ text }) => world.rate(promptOf(prompt), text).golden);
    return preferenceProbability(a! - b!, world.noise);
  });
