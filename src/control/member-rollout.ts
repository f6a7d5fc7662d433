// One member's place in its simulator: steps by its sampled policy, across episodes.
import { stopIfAborted } from './data/collect.js';
import { type TransitionColumns, TransitionLog } from './data/transitions.js';
import type { Env } from './environments/environment.js';
import type { Policy } from './environments/evaluate.js';

export interface RolloutState {
  readonly env: Float64Array;
  readonly obs: Float32Array;
}

const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Steps between two turns for the other work of the thread. */
const turn = 500;

export class MemberRollout {
  readonly #env: Env;
  readonly #obs: Float32Array;
  readonly #next: Float32Array;
  readonly #action: Float32Array;

  /** Begins the seed's first episode. */
  constructor(env: Env, seed: bigint) {
    const { obsDim, actDim } = env.spec;
    this.#env = env;
    this.#obs = new Float32Array(obsDim);
    this.#next = new Float32Array(obsDim);
    this.#action = new Float32Array(actDim);
    env.seed(seed);
    env.reset(this.#obs);
  }

  /** What was met in so many further steps. */
  async advance(
    policy: Policy,
    steps: number,
    signal: AbortSignal | undefined,
  ): Promise<TransitionColumns> {
    const { obsDim, actDim } = this.#env.spec;
    const log = new TransitionLog(obsDim, actDim, steps);
    for (let i = 0; i < steps; i += 1) {
      if (i % turn === turn - 1) {
        await breathe();
        stopIfAborted(signal);
      }
      policy(this.#obs, this.#action);
      const { reward, terminated, truncated } = this.#env.step(this.#action, this.#next);
      log.push(this.#obs, this.#action, reward, this.#next, terminated, truncated);
      if (terminated || truncated) this.#env.reset(this.#obs);
      else this.#obs.set(this.#next);
    }
    return log.columns();
  }

  state(): RolloutState {
    return { env: this.#env.getState(), obs: this.#obs.slice() };
  }

  restore({ env, obs }: RolloutState): void {
    this.#env.setState(env);
    this.#obs.set(obs);
  }
}
