// Episodes turned into transitions.
import type { RandomStream } from '../../data/random.js';
import { AlignlabError } from '../../errors.js';
import type { Env } from '../environments/environment.js';
import { type Episode, type Policy, summarise } from '../environments/evaluate.js';
import type { EpisodeStatistics } from '../environments/evaluate.js';
import { TransitionLog } from './transitions.js';
import type { TransitionColumns } from './transitions.js';

/** Uniform in [-1, 1]. */
export const uniformPolicy =
  (stream: RandomStream): Policy =>
  (_obs, action) => {
    for (let j = 0; j < action.length; j += 1) action[j] = 2 * stream.uniform() - 1;
  };

/** One environment, stepped across episodes: what was seen last, and the episodes that ended. */
export class Rollout {
  readonly log: TransitionLog;
  readonly episodes: Episode[] = [];
  readonly #env: Env;
  readonly #obs: Float32Array;
  readonly #next: Float32Array;
  readonly #action: Float32Array;
  #return = 0;
  #length = 0;

  constructor(env: Env, capacity?: number) {
    const { obsDim, actDim } = env.spec;
    this.#env = env;
    this.log = new TransitionLog(obsDim, actDim, capacity);
    this.#obs = new Float32Array(obsDim);
    this.#next = new Float32Array(obsDim);
    this.#action = new Float32Array(actDim);
    env.reset(this.#obs);
  }

  /** One step, and a new episode where one ended. `seen` is shown the transition. */
  step(policy: Policy, seen?: TransitionLog['push']): void {
    policy(this.#obs, this.#action);
    const { reward, terminated, truncated } = this.#env.step(this.#action, this.#next);
    this.log.push(this.#obs, this.#action, reward, this.#next, terminated, truncated);
    seen?.(this.#obs, this.#action, reward, this.#next, terminated, truncated);
    this.#return += reward;
    this.#length += 1;
    if (!terminated && !truncated) {
      this.#obs.set(this.#next);
      return;
    }
    this.episodes.push({ episodeReturn: this.#return, length: this.#length, terminated });
    this.#return = 0;
    this.#length = 0;
    this.#env.reset(this.#obs);
  }

  /** Of the episodes that ended; null before the first. */
  statistics(): EpisodeStatistics | null {
    return this.episodes.length === 0 ? null : summarise(this.#env.spec, this.episodes);
  }
}

export interface Collected {
  readonly columns: TransitionColumns;
  readonly statistics: EpisodeStatistics | null;
}

const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const stopIfAborted = (signal: AbortSignal | undefined): void => {
  if (signal?.aborted) throw new AlignlabError('ABORTED', 'The building of data was stopped.');
};

/** `transitions` steps of a policy. Every 500 steps other work of the thread gets its turn. */
export const collect = async (
  env: Env,
  policy: Policy,
  transitions: number,
  signal?: AbortSignal,
): Promise<Collected> => {
  const rollout = new Rollout(env, transitions);
  for (let i = 0; i < transitions; i += 1) {
    if (i % 500 === 0) {
      stopIfAborted(signal);
      await breathe();
    }
    rollout.step(policy);
  }
  return { columns: rollout.log.columns(), statistics: rollout.statistics() };
};
