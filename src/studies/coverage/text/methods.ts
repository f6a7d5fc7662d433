// DPO, HyPO and online RLHF on text: sources and objectives, the same for worlds and for files.
import { derivedSeed } from '../../../data/random.js';
import type { LanguageModel } from '../../../engine/model.js';
import type { RewardJudge } from '../../../judges/judge.js';
import { dpo } from '../../../objectives/dpo.js';
import { hypo } from '../../../objectives/hypo.js';
import type { Objective } from '../../../objectives/objective.js';
import { rloo } from '../../../objectives/rloo.js';
import { datasetPairs } from '../../../sources/dataset.js';
import { hybrid } from '../../../sources/mixture.js';
import { onPolicyGroups } from '../../../sources/on-policy.js';
import type { PolicyPrompt } from '../../../sources/prompts.js';
import type { Source } from '../../../sources/source.js';
import type { Encoder } from '../../../text/encoding.js';
import type { Example } from '../../../text/example.js';
import { adamW } from '../../../training/optimizer.js';
import { train } from '../../../training/train.js';
import type { StageContext } from '../../study.js';
import type { Baseline, TextTraining } from './recipe.js';

export type Method =
  | { readonly name: 'dpo'; readonly beta: number }
  | {
      readonly name: 'hypo';
      readonly beta: number;
      readonly lambda: number;
      readonly samples: number;
      readonly baseline: Baseline;
    }
  | { readonly name: 'rlhf'; readonly beta: number; readonly samples: number };

/** What arms train on. */
export interface Ground {
  readonly policy: LanguageModel;
  readonly reference: LanguageModel;
  readonly pairs: readonly Example[];
  readonly prompts: readonly PolicyPrompt[];
  readonly sampling: { readonly maxNewTokens: number; readonly stopTokens: readonly number[] };
  readonly encoder: Pick<Encoder, 'decode'>;
  /** Of RLHF alone. */
  readonly reward: RewardJudge<'proxy'> | null;
}

const objectiveOf = (method: Method): Objective => {
  const { beta } = method;
  switch (method.name) {
    case 'dpo':
      return dpo.make({ beta });
    case 'hypo':
      return hypo.make({ beta, lambda: method.lambda, baseline: method.baseline });
    case 'rlhf':
      return rloo.make({ beta });
  }
};

const sourceOf = (method: Method, ground: Ground, seed: number): Source => {
  const { policy, pairs, prompts, sampling, encoder, reward } = ground;
  // DPO and HyPO of one seed take the same pairs in the same order.
  const offline = datasetPairs({
    examples: pairs,
    name: 'D',
    order: 'shuffled',
    seed: derivedSeed(seed, 'pairs'),
    lastBatch: 'across',
  });
  if (method.name === 'dpo') return offline;
  const online = {
    policy,
    prompts,
    order: 'shuffled',
    sampling,
    samples: method.samples,
    seed: derivedSeed(seed, 'samples'),
  } as const;
  if (method.name === 'hypo') return hybrid({ pairs: offline, samples: onPolicyGroups(online) });
  return onPolicyGroups({
    ...online,
    judge: reward!,
    decode: (response, prompt) => encoder.decode(response, prompt),
  });
};

export interface TrainOptions {
  readonly method: Method;
  readonly training: TextTraining;
  readonly seed: number;
  readonly measuredAt: readonly number[];
  readonly measure: (step: number) => Promise<void>;
}

/** Trains the policy in place. */
export const trainMethod = async (
  ground: Ground,
  { method, training, seed, measuredAt, measure }: TrainOptions,
  { signal, tick }: Pick<StageContext, 'signal' | 'tick'>,
): Promise<void> => {
  const { steps, batchSize, learningRate } = training;
  const objective = objectiveOf(method);
  const source = sourceOf(method, ground, seed);
  try {
    const run = train({
      policy: ground.policy,
      ...(objective.needs.reference ? { reference: ground.reference } : {}),
      source,
      objective,
      optimizer: adamW({ learningRate }),
      steps,
      batchSize,
      schedule: { type: 'constant' },
      evaluate: {
        every: measuredAt,
        run: async ({ step }) => {
          await measure(step);
          return {};
        },
      },
      ...(signal ? { signal } : {}),
    });
    for await (const { index } of run) tick(index, steps);
  } finally {
    await source.dispose?.();
  }
};

export const methodNames = { dpo: 'DPO', hypo: 'HyPO', rlhf: 'online RLHF' } as const;

export const methodTitle = (method: Method): string => {
  if (method.name !== 'hypo') return methodNames[method.name];
  const { lambda, samples, baseline } = method;
  return `HyPO, lambda ${lambda}, k ${samples}, ${baseline}`;
};
