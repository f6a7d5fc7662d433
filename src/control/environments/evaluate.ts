// Whole episodes under a policy: what returns they have, how they end, and how they look.
import { AlignlabError } from '../../errors.js';
import { meanOf } from '../../numbers.js';
import { requireWhole } from '../../options.js';
import type { Env, EnvSpec } from './environment.js';
import type { TimedPose } from './poses.js';

/** Writes the action [actDim] for an observation [obsDim]. */
export type Policy = (obs: Float32Array, action: Float32Array) => void;

export interface EpisodeStatistics {
  /** Undiscounted, of each episode in turn. */
  readonly returns: readonly number[];
  readonly lengths: readonly number[];
  readonly terminated: number;
  readonly truncated: number;
  readonly meanReturn: number;
  /** Over the episodes, with n - 1; null for one episode. */
  readonly standardDeviation: number | null;
  /** Of the mean return, where 0 is refMin and 100 is refMax. */
  readonly score: number;
}

/** 100 (return - refMin) / (refMax - refMin); of MuJoCo tasks with D4RL's constants. */
export const normalizedScore = (spec: EnvSpec, episodeReturn: number): number =>
  (100 * (episodeReturn - spec.refMin)) / (spec.refMax - spec.refMin);

/** One episode's return, length and end. */
export interface Episode {
  readonly episodeReturn: number;
  readonly length: number;
  readonly terminated: boolean;
}

export const summarise = (spec: EnvSpec, episodes: readonly Episode[]): EpisodeStatistics => {
  const returns = episodes.map(({ episodeReturn }) => episodeReturn);
  const meanReturn = meanOf(returns);
  const squares = returns.reduce((sum, value) => sum + (value - meanReturn) ** 2, 0);
  const terminated = episodes.filter((episode) => episode.terminated).length;
  return {
    returns,
    lengths: episodes.map(({ length }) => length),
    terminated,
    truncated: episodes.length - terminated,
    meanReturn,
    standardDeviation: returns.length < 2 ? null : Math.sqrt(squares / (returns.length - 1)),
    score: normalizedScore(spec, meanReturn),
  };
};

/** Called after each step; the observation that led to it is gone. */
type Watcher = (step: number, reward: number) => void;

const playEpisode = (env: Env, policy: Policy, watch?: Watcher): Episode => {
  const { obsDim, actDim } = env.spec;
  const obs = new Float32Array(obsDim);
  const action = new Float32Array(actDim);
  env.reset(obs);
  let episodeReturn = 0;
  for (let length = 1; ; length += 1) {
    policy(obs, action);
    const { reward, terminated, truncated } = env.step(action, obs);
    episodeReturn += reward;
    watch?.(length, reward);
    if (terminated || truncated) return { episodeReturn, length, terminated };
  }
};

export interface EvaluationOptions {
  /** Default 5. */
  readonly episodes?: number;
  /** Same seed, same starts, whatever was played before. Default 0. */
  readonly seed?: bigint;
  readonly signal?: AbortSignal;
}

const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Plays episodes; between them other work of the thread gets its turn. */
export const evaluatePolicy = async (
  env: Env,
  policy: Policy,
  { episodes = 5, seed = 0n, signal }: EvaluationOptions = {},
): Promise<EpisodeStatistics> => {
  requireWhole('episodes', episodes);
  env.seed(seed);
  const played: Episode[] = [];
  for (let i = 0; i < episodes; i += 1) {
    if (signal?.aborted) throw new AlignlabError('ABORTED', 'The evaluation was stopped.');
    played.push(playEpisode(env, policy));
    await breathe();
  }
  return summarise(env.spec, played);
};

export interface RecordOptions {
  /** Figures of the strip, at equal times. Default 8. */
  readonly poses?: number;
  /** Control steps from one figure to the next. Default: the whole episode in equal parts. */
  readonly every?: number;
  readonly seed?: bigint;
}

/** Plays one episode and keeps its poses; it is played until enough of them are there. */
export const recordPoses = (
  env: Env,
  policy: Policy,
  { poses = 8, every, seed = 0n }: RecordOptions = {},
): TimedPose[] => {
  requireWhole('poses', poses);
  if (every !== undefined) requireWhole('every', every);
  const stride = every ?? Math.max(1, Math.floor(env.spec.maxEpisodeSteps / poses));
  env.seed(seed);
  const kept: TimedPose[] = [];
  const keep = (step: number): void => {
    if (kept.length >= poses || step % stride !== 0) return;
    kept.push({ pose: env.pose(), seconds: step * env.spec.stepSeconds });
  };
  playEpisode(env, policy, keep);
  return kept;
};
