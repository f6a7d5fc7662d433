// The policy behind a dataset: soft actor-critic in the nominal environment, evaluated as it learns,
// until it is good enough (medium) or for a given time (expert).
import { random } from '../../data/random.js';
import { AlignlabError } from '../../errors.js';
import { meanOf } from '../../numbers.js';
import type { Env } from '../environments/environment.js';
import { type Policy, evaluatePolicy } from '../environments/evaluate.js';
import { Rollout, stopIfAborted, uniformPolicy } from './collect.js';
import type { ActingLearner, BuilderOptions } from './learner.js';
import type { TransitionColumns } from './transitions.js';

export const builderDefaults = {
  hidden: [64, 64],
  batch: 64,
  learningRate: 1e-3,
  warmup: 5000,
  evaluateEvery: 5000,
  maxSteps: 200_000,
  chunk: 50,
} as const satisfies Required<BuilderOptions>;

export interface TeacherProgress {
  readonly step: number;
  /** Mean normalised score of 5 deterministic episodes. */
  readonly score: number;
}

export interface Teacher {
  /** The learner's state at the checkpoint that was chosen. */
  readonly state: Uint8Array;
  /** Environment steps until then. */
  readonly step: number;
  readonly curve: readonly TeacherProgress[];
  /** All transitions until then, those of the warm-up too. */
  readonly replay: TransitionColumns;
  readonly rollout: Rollout;
}

export interface TeacherRequest {
  readonly env: Env;
  readonly evaluationEnv: Env;
  readonly learner: ActingLearner;
  readonly builder: Required<BuilderOptions>;
  readonly seed: bigint;
  /** Ends at the first checkpoint whose last three evaluations reach this on average. */
  readonly untilScore?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TeacherProgress) => void;
}

export const policyOf =
  (learner: ActingLearner, mode: 'sample' | 'mean'): Policy =>
  (obs, action) => {
    learner.act(obs, 1, mode, action);
  };

const chunkOfSteps = async (
  { learner, builder, seed }: TeacherRequest,
  rollout: Rollout,
): Promise<void> => {
  const warm = rollout.log.size < builder.warmup;
  const policy = warm
    ? uniformPolicy(random(seed, 'warm-up', rollout.log.size))
    : policyOf(learner, 'sample');
  const untilWarm = warm ? builder.warmup - rollout.log.size : Infinity;
  const untilEvaluation = builder.evaluateEvery - (rollout.log.size % builder.evaluateEvery);
  const steps = Math.min(builder.chunk, untilWarm, untilEvaluation);
  for (let i = 0; i < steps; i += 1) {
    rollout.step(policy, (obs, act, reward, next, terminated) => {
      learner.push(obs, act, reward, next, terminated);
    });
  }
  if (!warm) await learner.update(steps);
};

const evaluate = async (request: TeacherRequest, step: number): Promise<TeacherProgress> => {
  const { evaluationEnv, learner, seed, signal, onProgress } = request;
  const { score } = await evaluatePolicy(evaluationEnv, policyOf(learner, 'mean'), {
    seed,
    ...(signal ? { signal } : {}),
  });
  onProgress?.({ step, score });
  return { step, score };
};

const lastThree = (curve: readonly TeacherProgress[]): number =>
  curve.length < 3 ? -Infinity : meanOf(curve.slice(-3).map(({ score }) => score));

/** @throws RUN_INVALID where `untilScore` is not reached in `maxSteps` */
export const trainTeacher = async (request: TeacherRequest): Promise<Teacher> => {
  const { env, learner, builder, untilScore, seed } = request;
  env.seed(seed);
  const rollout = new Rollout(env);
  const curve: TeacherProgress[] = [];
  let best: { state: Uint8Array; step: number; score: number } | undefined;
  while (rollout.log.size < builder.maxSteps) {
    stopIfAborted(request.signal);
    await chunkOfSteps(request, rollout);
    const step = rollout.log.size;
    if (step % builder.evaluateEvery !== 0 || step <= builder.warmup) continue;
    const latest = await evaluate(request, step);
    curve.push(latest);
    const reached = untilScore !== undefined && lastThree(curve) >= untilScore;
    if (reached || (untilScore === undefined && latest.score > (best?.score ?? -Infinity))) {
      best = { state: learner.state(), step, score: latest.score };
    }
    if (reached) break;
  }
  if (!best) throw notReached(request, curve);
  const { state, step } = best;
  return { state, step, curve, replay: rollout.log.columns(), rollout };
};

const notReached = (
  { builder, untilScore, env }: TeacherRequest,
  curve: readonly TeacherProgress[],
): AlignlabError => {
  const best = curve.length === 0 ? 'none' : Math.max(...curve.map((p) => p.score)).toFixed(1);
  const wanted = untilScore === undefined ? 'any evaluation' : `a score of ${untilScore}`;
  return new AlignlabError(
    'RUN_INVALID',
    `The policy for the ${env.spec.id} data did not reach ${wanted} in ${builder.maxSteps} steps ` +
      `(best evaluation: ${best}). Raise maxSteps, lower medium.score, or take larger networks.`,
  );
};
