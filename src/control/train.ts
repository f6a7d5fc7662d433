// The training loop of all algorithms, after the released code of H2O (Niu et al. 2022): a chunk of
// steps in the simulator by the sampled policy, as many updates, and now and then an evaluation of
// the policy's means in the real system and in the simulator.
import { requireWhole } from '../options.js';
import { AlignlabError } from '../errors.js';
import { derivedSeed } from '../data/random.js';
import { stopIfAborted } from './data/collect.js';
import type { Env } from './environments/environment.js';
import { type EpisodeStatistics, type Policy, evaluatePolicy } from './environments/evaluate.js';
import type { Learner, LearnerMetrics } from './learner.js';
import { dataNeeds } from './learner-options.js';
import { MemberRollout } from './member-rollout.js';
import { type TrainingState, packState, unpackState } from './training-state.js';

/** What an evaluation says of one member. */
export interface MemberEvaluation {
  /** Mean undiscounted return, and the normalised score of it. */
  readonly realReturn: number;
  readonly realScore: number;
  /** Null where the algorithm sees no simulator and none was given. */
  readonly simReturn: number | null;
  /** Means over the updates since the evaluation before. */
  readonly metrics: LearnerMetrics;
}

export interface TrainingEvaluation {
  readonly step: number;
  readonly members: readonly MemberEvaluation[];
}

export interface TrainingRequest {
  readonly learner: Learner;
  /** The simulator: an instance for each member. CQL needs none. */
  readonly sim: readonly Env[];
  /** The real system, which is only evaluated in. */
  readonly real: Env;
  /** Steps in the simulator, and updates, of each member; of the whole run when one goes on. */
  readonly steps: number;
  /** Steps before as many updates. Default 1000. */
  readonly chunk?: number;
  /** Default 5000. */
  readonly evaluateEvery?: number;
  /** Of each evaluation, in the real system and in the simulator. Default 5. */
  readonly episodes?: number;
  /** What `save` was given: the run goes on from there, as if it had not ended. */
  readonly state?: Uint8Array;
  /** Called each `saveEvery` steps, after the evaluation that may be due. */
  readonly save?: (state: Uint8Array) => void | Promise<void>;
  /** Default: `evaluateEvery`. */
  readonly saveEvery?: number;
  readonly signal?: AbortSignal;
  readonly onEvaluation?: (evaluation: TrainingEvaluation) => void;
}

export interface TrainingResult {
  readonly curve: readonly TrainingEvaluation[];
}

type Sums = Record<string, number>;

/** The member's policy: a sample, or tanh of the mean. */
export const memberPolicy =
  (learner: Learner, member: number, mode: 'sample' | 'mean'): Policy =>
  (obs, action) => {
    learner.act(obs, 1, mode, action, member);
  };

interface Schedule {
  readonly steps: number;
  readonly chunk: number;
  readonly evaluateEvery: number;
  readonly episodes: number;
  readonly saveEvery: number;
}

const scheduleOf = (request: TrainingRequest): Schedule => {
  const { steps, chunk = 1000, evaluateEvery = 5000, episodes = 5 } = request;
  const { saveEvery = evaluateEvery } = request;
  const schedule = { steps, chunk, evaluateEvery, episodes, saveEvery };
  for (const [name, value] of Object.entries(schedule)) requireWhole(name, value);
  return schedule;
};

const checkEnvironments = ({ learner, sim, real }: TrainingRequest): void => {
  const { algorithm, obsDim, actDim } = learner.options;
  const needed = dataNeeds(algorithm).sim;
  if (sim.length !== learner.members && (needed || sim.length > 0)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `The learner has ${learner.members} members and sim ${sim.length} environments. Give each ` +
        'member one of its own.',
    );
  }
  for (const { spec } of [...sim, real]) {
    if (spec.obsDim === obsDim && spec.actDim === actDim) continue;
    throw new AlignlabError(
      'OPTION_INVALID',
      `${spec.id} has observations of ${spec.obsDim} and actions of ${spec.actDim} numbers; the ` +
        `learner was made for ${obsDim} and ${actDim}.`,
    );
  }
};

class Training {
  readonly #request: TrainingRequest;
  readonly #schedule: Schedule;
  readonly #rollouts: readonly MemberRollout[];
  readonly #seeds: readonly bigint[];
  #step = 0;
  #curve: TrainingEvaluation[] = [];
  /** Of each member: metrics times updates since the last evaluation. */
  #sums: Sums[];
  #updates = 0;

  constructor(request: TrainingRequest) {
    checkEnvironments(request);
    this.#request = request;
    this.#schedule = scheduleOf(request);
    const { learner, sim } = request;
    // From the member's own seed: a member does the same in any ensemble.
    this.#seeds = (learner.options.seeds ?? [0]).map((seed) => derivedSeed(seed, 'training'));
    this.#rollouts = sim.map(
      (env, i) => new MemberRollout(env, derivedSeed(this.#seeds[i]!, 'simulator')),
    );
    this.#sums = this.#seeds.map(() => ({}));
    if (request.state) this.#restore(unpackState(request.state));
    else this.#checkFresh();
  }

  #checkFresh(): void {
    if (this.#request.learner.step === 0) return;
    throw new AlignlabError(
      'OPTION_INVALID',
      `The learner has done ${this.#request.learner.step} updates already. Give the state that ` +
        'its training saved, or a new learner.',
    );
  }

  #restore(state: TrainingState): void {
    const { learner } = this.#request;
    if (state.rollouts.length !== this.#rollouts.length) {
      throw new AlignlabError(
        'DATA_INVALID',
        `The state is of ${state.rollouts.length} simulators, this training has ` +
          `${this.#rollouts.length}. Take the state of the same training.`,
      );
    }
    learner.restore(state.learner);
    state.rollouts.forEach((rollout, i) => {
      this.#rollouts[i]!.restore(rollout);
    });
    this.#step = state.step;
    this.#curve = [...state.curve];
    this.#sums = state.sums.map((sums) => ({ ...sums }));
    this.#updates = state.updates;
  }

  #state(): Uint8Array {
    return packState({
      step: this.#step,
      learner: this.#request.learner.state(),
      rollouts: this.#rollouts.map((rollout) => rollout.state()),
      curve: this.#curve,
      sums: this.#sums,
      updates: this.#updates,
    });
  }

  async run(): Promise<TrainingResult> {
    const { steps, chunk, evaluateEvery, saveEvery } = this.#schedule;
    const { save, signal } = this.#request;
    while (this.#step < steps) {
      stopIfAborted(signal);
      const untilEvaluation = evaluateEvery - (this.#step % evaluateEvery);
      const count = Math.min(chunk, untilEvaluation, steps - this.#step);
      await this.#roll(count);
      await this.#improve(count);
      const before = this.#step;
      this.#step += count;
      if (this.#step % evaluateEvery === 0) await this.#evaluate();
      const due = Math.floor(this.#step / saveEvery) > Math.floor(before / saveEvery);
      if (save && due) await save(this.#state());
    }
    return { curve: this.#curve };
  }

  async #roll(steps: number): Promise<void> {
    const { learner, signal } = this.#request;
    if (!dataNeeds(learner.options.algorithm).sim) return;
    for (const [member, rollout] of this.#rollouts.entries()) {
      const met = await rollout.advance(memberPolicy(learner, member, 'sample'), steps, signal);
      learner.push(met, member);
    }
  }

  async #improve(updates: number): Promise<void> {
    const { learner, signal } = this.#request;
    const metrics = await learner.update(updates, signal ? { signal } : {});
    for (const [member, own] of metrics.entries()) {
      const sums = this.#sums[member]!;
      for (const [name, value] of Object.entries(own) as [string, number][]) {
        sums[name] = (sums[name] ?? 0) + updates * value;
      }
    }
    this.#updates += updates;
  }

  #means(member: number): LearnerMetrics {
    const entries = Object.entries(this.#sums[member]!);
    return Object.fromEntries(
      entries.map(([name, sum]) => [name, sum / this.#updates]),
    ) as unknown as LearnerMetrics;
  }

  async #evaluateMember(member: number): Promise<MemberEvaluation> {
    const { learner, real, sim, signal } = this.#request;
    const policy = memberPolicy(learner, member, 'mean');
    const options = {
      episodes: this.#schedule.episodes,
      seed: derivedSeed(this.#seeds[member]!, 'evaluation', this.#step),
      ...(signal ? { signal } : {}),
    };
    const { meanReturn, score } = await evaluatePolicy(real, policy, options);
    const own = sim[member];
    const inSim = own ? await evaluateAside(own, policy, options) : null;
    return {
      realReturn: meanReturn,
      realScore: score,
      simReturn: inSim ? inSim.meanReturn : null,
      metrics: this.#means(member),
    };
  }

  async #evaluate(): Promise<void> {
    const members: MemberEvaluation[] = [];
    for (const member of this.#seeds.keys()) members.push(await this.#evaluateMember(member));
    const evaluation = { step: this.#step, members };
    this.#curve.push(evaluation);
    this.#sums = this.#seeds.map(() => ({}));
    this.#updates = 0;
    this.#request.onEvaluation?.(evaluation);
  }
}

/** Evaluates in an environment in which an episode is under way, and puts it back there. */
const evaluateAside = async (
  env: Env,
  policy: Policy,
  options: Parameters<typeof evaluatePolicy>[2],
): Promise<EpisodeStatistics> => {
  const state = env.getState();
  try {
    return await evaluatePolicy(env, policy, options);
  } finally {
    env.setState(state);
  }
};

/**
 * Trains, and evaluates each `evaluateEvery` steps. The learner, the environments and their seeds
 * decide the result; `chunk` does too. One that was aborted goes on from the last saved state with a
 * learner and environments made as before.
 * @throws ABORTED; NON_FINITE when training diverges; OPTION_INVALID; DATA_INVALID for a damaged state
 */
export const trainOffDynamics = (request: TrainingRequest): Promise<TrainingResult> =>
  Promise.resolve().then(() => new Training(request).run());
