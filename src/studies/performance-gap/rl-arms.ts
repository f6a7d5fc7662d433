// Arms with policy-gradient terms: RLOO and PPO on rewards made of the pairwise proxy, and HyPO.
//
// The reward of a sample is its mean win rate over the other samples of its prompt by the proxy, in
// both orders, ties 1/2. With two samples that is the experience of the online pair losses: the
// same prompts, as many samples and as many comparisons. Less beta times the KL it has the fixed
// point of self-play, pi ~ pi_sft exp(P(y beats pi) / beta), which is online IPO's as well
// (Calandriello et al. 2024, 2403.08635), so that betas of arms can be compared.
//
// PPO is rewarded alike. The alternative was a stored response of the SFT policy as the opponent:
// a policy that nearly always beats it earns 1 everywhere and has nothing left to climb, and it
// would play another game than all other online arms.
import { derivedSeed } from '../../data/random.js';
import { LanguageModel } from '../../engine/model.js';
import { AlignlabError } from '../../errors.js';
import type { PairJudge } from '../../judges/judge.js';
import { hypo } from '../../objectives/hypo.js';
import type { Objective } from '../../objectives/objective.js';
import { ppo } from '../../objectives/ppo.js';
import { rloo } from '../../objectives/rloo.js';
import { hybrid } from '../../sources/mixture.js';
import { type UnlabelledGroupOptions, onPolicyGroups } from '../../sources/on-policy.js';
import type { PolicyPrompt } from '../../sources/prompts.js';
import type { Source } from '../../sources/source.js';
import type { TrainOptions } from '../../training/options.js';
import type { Artefact } from '../study.js';
import type { Arm, ArmObjective } from './arms.js';
import { type Materials, modelFolder } from './materials.js';

export type RlObjective = Extract<ArmObjective, { readonly name: 'rloo' | 'ppo' | 'hypo' }>;
type HypoObjective = Extract<RlObjective, { readonly name: 'hypo' }>;

export interface RlArm extends Pick<Arm, 'source' | 'seed'> {
  readonly objective: RlObjective;
}

export interface RlInputs {
  readonly policy: LanguageModel;
  /** The SFT policy's stage: PPO's critic starts from its weights, under a new scalar head. */
  readonly start: Artefact;
  readonly prompts: readonly PolicyPrompt[];
  readonly materials: Pick<Materials, 'encoder' | 'sampling' | 'recipe'>;
  /** HyPO does not ask it. */
  readonly proxy: PairJudge<'proxy'>;
  /** HyPO's pairs: the source of the offline arm. */
  readonly offline: () => Source;
}

export interface RlParts {
  readonly source: Source;
  readonly objective: Objective;
  /** What train() needs besides: PPO's critic, and how often it uses a batch. */
  readonly options: Pick<TrainOptions, 'critic' | 'rollouts'>;
  close(): Promise<void>;
}

/** Of each prompt, as in the pair losses. */
const samplesOfPrompt = 2;

const requireSource = ({ source, objective }: RlArm, kind: 'online' | 'offline'): void => {
  if (source.kind === kind) return;
  const message = `${objective.name} was given the source ${source.kind}; its source is ${kind}.`;
  throw new AlignlabError('INTERNAL', message);
};

/** What all samples of the policy in training have in common. */
const samplesOf = ({ policy, prompts, materials }: RlInputs): UnlabelledGroupOptions => ({
  policy,
  prompts,
  order: 'shuffled',
  sampling: materials.sampling,
});

/**
 * The KL weighs against f(beta * gap), the family of Tang et al. 2024, appendix B, so that a lambda
 * means the same for both bases. ipo.ts has f divided by beta^2, and so has its lambda.
 */
const hypoObjective = ({ beta, lambda, base }: HypoObjective): Objective =>
  hypo.make({
    loss: base,
    beta,
    lambda: base === 'ipo' ? lambda / beta ** 2 : lambda,
    // Song et al. centre two samples by each other, which is noisier than no baseline while the KL
    // is a few nats, as here. The exact KL of later tokens has the same mean and least variance.
    baseline: 'exact',
  });

/** The pairs are the offline arm's, in its order; the samples beside them have no labels. */
const hypoParts = (arm: RlArm, objective: HypoObjective, inputs: RlInputs): RlParts => {
  requireSource(arm, 'offline');
  const seed = derivedSeed(arm.seed, 'unlabelled samples');
  const source = hybrid({
    pairs: inputs.offline(),
    samples: onPolicyGroups({ ...samplesOf(inputs), samples: 1, seed }),
  });
  const close = async (): Promise<void> => source.dispose?.();
  return { source, objective: hypoObjective(objective), options: {}, close };
};

const judgedSource = (arm: RlArm, inputs: RlInputs): Source => {
  requireSource(arm, 'online');
  const { proxy, materials } = inputs;
  const syncEvery = arm.source.kind === 'online' ? arm.source.syncEvery : undefined;
  return onPolicyGroups({
    ...samplesOf(inputs),
    samples: samplesOfPrompt,
    seed: derivedSeed(arm.seed, 'pairs'),
    judge: proxy,
    decode: (response, prompt) => materials.encoder.decode(response, prompt),
    ...(syncEvery === undefined ? {} : { syncEvery }),
  });
};

/** Sources and objectives of RLOO, PPO and HyPO; `close` when the run is over. */
export const rlParts = async (arm: RlArm, inputs: RlInputs): Promise<RlParts> => {
  const { objective } = arm;
  if (objective.name === 'hypo') return hypoParts(arm, objective, inputs);
  const source = judgedSource(arm, inputs);
  const close = async (): Promise<void> => source.dispose?.();
  const { beta } = objective;
  if (objective.name === 'rloo') {
    return { source, objective: rloo.make({ beta }), options: {}, close };
  }
  const { start, materials } = inputs;
  const ownHead = { scalarHead: 1, ...materials.recipe.engine };
  const critic = await LanguageModel.load(modelFolder(start.folder), ownHead);
  return {
    source,
    objective: ppo.make({ klCoef: beta }),
    // Of a batch that is used once all ratios are 1, and nothing is ever clipped.
    options: { critic: { model: critic }, rollouts: { epochs: 2 } },
    close: async () => {
      await close();
      await critic.dispose();
    },
  };
};
