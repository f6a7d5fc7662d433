// One toy arm: a method, trained on a toy world, measured on the way.
import type { RewardJudge } from '../../../judges/judge.js';
import { dpo } from '../../../objectives/dpo.js';
import { hypo } from '../../../objectives/hypo.js';
import { ipo } from '../../../objectives/ipo.js';
import type { Objective } from '../../../objectives/objective.js';
import { rloo } from '../../../objectives/rloo.js';
import { type EnumerablePolicy, noPrompt } from '../../../policies/index.js';
import { datasetPairs } from '../../../sources/dataset.js';
import { hybrid } from '../../../sources/mixture.js';
import { onPolicyGroups } from '../../../sources/on-policy.js';
import type { Source } from '../../../sources/source.js';
import { adamW } from '../../../training/optimizer.js';
import { train } from '../../../training/train.js';
import type { StageContext } from '../../study.js';
import type { ToyTraining } from '../recipe.js';
import type { ToyWorld } from './world.js';

/** rlhf: samples with the rewards of a fitted model, less beta times the KL. */
export type Method =
  | { readonly name: 'dpo' | 'ipo'; readonly beta: number }
  | { readonly name: 'hypo'; readonly beta: number; readonly lambda: number; readonly samples: number }
  | {
      readonly name: 'rlhf';
      readonly beta: number;
      readonly samples: number;
      /** By response. */
      readonly rewards: readonly number[];
    };

/** What was measured, by name, at each of the steps; 0 is the start. */
export interface Curves extends Record<string, unknown> {
  readonly steps: readonly number[];
  readonly values: Readonly<Record<string, readonly number[]>>;
}

const prompts = [{ tokens: noPrompt, text: '' }];

const judgeOf = (rewards: readonly number[]): RewardJudge<'proxy'> => ({
  kind: 'reward',
  role: 'proxy',
  name: 'fitted reward',
  version: '1',
  score: (requests) =>
    Promise.resolve(requests.map(({ response }) => rewards[response.tokens[0]!]!)),
});

const objectiveOf = (method: Method): Objective => {
  const { beta } = method;
  switch (method.name) {
    case 'dpo':
      return dpo({ beta });
    case 'ipo':
      return ipo({ beta });
    case 'hypo':
      return hypo({ beta, lambda: method.lambda });
    case 'rlhf':
      return rloo({ beta });
  }
};

const sourceOf = (
  method: Method,
  { pairs }: ToyWorld,
  policy: EnumerablePolicy,
  { seed, order }: { readonly seed: number; readonly order: 'sequential' | 'shuffled' },
): Source => {
  const offline = () => datasetPairs({ examples: pairs, order, ...(order === 'shuffled' ? { seed } : {}) });
  const online = { policy, prompts, seed };
  if (method.name === 'rlhf') {
    const { samples, rewards } = method;
    const decode = (response: Int32Array): string => response.join(' ');
    return onPolicyGroups({ ...online, samples, judge: judgeOf(rewards), decode });
  }
  if (method.name !== 'hypo') return offline();
  const samples = onPolicyGroups({ ...online, samples: method.samples });
  return hybrid({ pairs: offline(), samples });
};

export interface ToyArm {
  readonly method: Method;
  readonly training: ToyTraining;
  readonly seed: number;
  /** Of the pairs. Default 'shuffled'. */
  readonly order?: 'sequential' | 'shuffled';
  /** Where to start, other than at the reference. */
  readonly from?: EnumerablePolicy;
}

/** Trains a policy and returns it with what `measure` said of it every so many steps. */
export const trainToy = async (
  world: ToyWorld,
  { method, training, seed, order = 'shuffled', from }: ToyArm,
  measure: (policy: EnumerablePolicy) => Readonly<Record<string, number>>,
  { signal, tick }: Pick<StageContext, 'signal' | 'tick'>,
): Promise<{ readonly policy: EnumerablePolicy; readonly curves: Curves }> => {
  const policy = from ?? world.start();
  const { steps, batchSize, learningRate, schedule, every } = training;
  const found: [number, Readonly<Record<string, number>>][] = [[0, measure(policy)]];
  const run = train({
    policy,
    reference: world.start(),
    ...(from ? { startsFromReference: false } : {}),
    source: sourceOf(method, world, policy, { seed, order }),
    objective: objectiveOf(method),
    optimizer: adamW({ learningRate, maxGradNorm: 0 }),
    schedule: { type: schedule },
    steps,
    batchSize,
    ...(signal ? { signal } : {}),
  });
  for await (const { index } of run) {
    if (index % every !== 0 && index !== steps) continue;
    found.push([index, measure(policy)]);
    tick(index, steps);
  }
  const names = Object.keys(found[0]![1]);
  const values = names.map((name) => [name, found.map(([, values]) => values[name]!)] as const);
  const curves = { steps: found.map(([step]) => step), values: Object.fromEntries(values) };
  return { policy, curves };
};
