// The models of a run, and what is measured of a pass with them.
import type { AdamWOptions } from '../engine/optimizer.js';
import type { LanguageModel } from '../engine/model.js';
import type { PolicyModel, PolicyPass } from '../engine/policy-model.js';
import { AlignlabError } from '../errors.js';
import type { Objective } from '../objectives/objective.js';
import type { Example } from '../text/example.js';
import { type Pass, planPasses } from './passes.js';
import type { Reference } from './reference.js';
import { type PassResults, scorePlaces, valuePlaces } from './rows.js';

/** A value model: the same vocabulary as the policy's, with a scalar head, trained beside it. */
export interface Critic {
  readonly model: LanguageModel;
  /** Default: the policy's. */
  readonly optimizer?: AdamWOptions;
}

export interface Learner {
  readonly policy: PolicyModel;
  readonly objective: Objective;
  readonly reference: Reference<PolicyModel> | null;
  readonly critic: Critic | null;
  /** Tokens of a pass at most. */
  readonly maxTokens: number;
  /** Tokens of prompt and response together at most, of sequences that the loop itself makes. */
  readonly maxLength: number;
  readonly recompute: boolean;
  /** Measure the policy's entropy even if the objective does not need it. */
  readonly entropy: boolean;
  readonly signal?: AbortSignal;
}

export const passesOf = (learner: Learner, examples: readonly Example[]): Pass[] =>
  planPasses(examples, {
    maxTokens: learner.maxTokens,
    scorePrompts: learner.objective.needs.promptLogProbs === true,
  });

const signalOf = ({ signal }: Learner) => (signal ? { signal } : {});

/** What the policy is run on: its scalar head needs no log-probabilities. */
const request = (learner: Learner, pass: Pass) => {
  const { needs } = learner.objective;
  if (needs.scores) {
    const batch = pass.batch.map((segment) => ({ ...segment, scored: false }));
    return { batch, options: { scalarAt: scorePlaces(pass), ...signalOf(learner) } };
  }
  const entropy = needs.entropies === true || learner.entropy;
  return { batch: pass.batch, options: { entropy, ...signalOf(learner) } };
};

/** The critic sees the same tokens, and none is scored. */
const criticRequest = (learner: Learner, pass: Pass) => ({
  batch: pass.batch.map((segment) => ({ ...segment, scored: false })),
  options: { scalarAt: valuePlaces(pass), ...signalOf(learner) },
});

export const exactKlOf = async (
  learner: Learner,
  pass: Pass,
): Promise<Float32Array | undefined> => {
  if (!learner.objective.needs.exactKl) return undefined;
  const model = learner.reference?.model;
  if (!model) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `${learner.objective.name} needs the exact KL, and so the reference model itself. ` +
        'Pass a LanguageModel as the reference.',
    );
  }
  return (await learner.policy.kl(model, pass.batch, signalOf(learner))).kl;
};

/** Results without a way back; bit-equal to those of `runPass`. */
export const scorePass = async (learner: Learner, pass: Pass): Promise<PassResults> => {
  const { batch, options } = request(learner, pass);
  const scores = await learner.policy.score(batch, options);
  const exactKl = await exactKlOf(learner, pass);
  const values = learner.objective.needs.values ? await valuesOf(learner, pass) : undefined;
  return { scores, ...(exactKl ? { exactKl } : {}), ...(values ? { values } : {}) };
};

export interface LivePass extends Disposable {
  readonly results: PassResults;
  readonly policy: PolicyPass;
  readonly critic: PolicyPass | null;
}

export const runPass = async (learner: Learner, pass: Pass): Promise<LivePass> => {
  const { batch, options } = request(learner, pass);
  const { recompute } = learner;
  const exactKl = await exactKlOf(learner, pass);
  const policy = await learner.policy.forward(batch, { ...options, recompute });
  let critic: PolicyPass | null = null;
  try {
    if (learner.objective.needs.values) {
      const asked = criticRequest(learner, pass);
      critic = await requireCritic(learner).model.forward(asked.batch, {
        ...asked.options,
        recompute,
      });
    }
  } catch (error) {
    policy.dispose();
    throw error;
  }
  return {
    policy,
    critic,
    results: {
      scores: policy,
      ...(exactKl ? { exactKl } : {}),
      ...(critic ? { values: critic.scalars } : {}),
    },
    [Symbol.dispose]: () => {
      policy.dispose();
      critic?.dispose();
    },
  };
};

export const requireCritic = ({ critic, objective }: Learner): Critic => {
  if (critic) return critic;
  throw new AlignlabError(
    'OPTION_INVALID',
    `${objective.name} needs a critic: pass critic: { model } with a model of one scalar output, ` +
      'such as LanguageModel.load(folder, { scalarHead: 1 }).',
  );
};

/** The critic's outputs at `valuePlaces`. */
export const valuesOf = async (learner: Learner, pass: Pass): Promise<Float32Array> => {
  const { batch, options } = criticRequest(learner, pass);
  return (await requireCritic(learner).model.score(batch, options)).scalars;
};
