// A worker's share of a vectorised environment: its instances, stepped one after the other.
import { AlignlabError } from '../../errors.js';
import type { Env, EnvSpec } from './environment.js';
import { makeEnv } from './make.js';
import type { Request, Share } from './vector-messages.js';

/** Its rows of the shared arrays. */
interface Rows {
  readonly action: Float32Array;
  readonly observation: Float32Array;
  readonly next: Float32Array;
}

const rowsOf = ({ arrays }: Share, index: number, { obsDim, actDim }: EnvSpec): Rows => {
  const row = (array: Float32Array, width: number): Float32Array =>
    array.subarray(index * width, (index + 1) * width);
  return {
    action: row(arrays.actions, actDim),
    observation: row(arrays.observations, obsDim),
    next: row(arrays.nextObservations, obsDim),
  };
};

export class Instances {
  readonly envs: readonly Env[];
  readonly #rows: readonly Rows[];
  readonly #share: Share;

  private constructor(share: Share, envs: readonly Env[]) {
    this.#share = share;
    this.envs = envs;
    this.#rows = envs.map((env, k) => rowsOf(share, share.from + k, env.spec));
  }

  static async make(share: Share): Promise<Instances> {
    const envs: Env[] = [];
    try {
      for (let i = share.from; i < share.to; i += 1) {
        envs.push(await makeEnv(share.id, { ...share.options, seed: share.seeds[i]! }));
      }
    } catch (cause) {
      for (const env of envs) env.close();
      throw cause;
    }
    return new Instances(share, envs);
  }

  #env(index: number): Env {
    return this.envs[index - this.#share.from]!;
  }

  handle(request: Request): Float64Array | undefined {
    if (request.kind === 'reset') this.#resetAll();
    else if (request.kind === 'step') this.#stepAll();
    else if (request.kind === 'setGap') this.#env(request.index).setGap(request.gap);
    else if (request.kind === 'setState') this.#env(request.index).setState(request.state);
    else return this.#env(request.index).getState();
    return undefined;
  }

  #resetAll(): void {
    const { from, seeds } = this.#share;
    this.envs.forEach((env, k) => {
      env.seed(seeds[from + k]!);
      env.reset(this.#rows[k]!.observation);
    });
  }

  #stepAll(): void {
    for (let k = 0; k < this.envs.length; k += 1) this.#stepOne(k);
  }

  #stepOne(k: number): void {
    const { arrays, from } = this.#share;
    const env = this.envs[k]!;
    const { action, observation, next } = this.#rows[k]!;
    const index = from + k;
    try {
      const { reward, terminated, truncated } = env.step(action, next);
      arrays.rewards[index] = reward;
      arrays.terminated[index] = terminated ? 1 : 0;
      arrays.truncated[index] = truncated ? 1 : 0;
      if (terminated || truncated) env.reset(observation);
      else observation.set(next);
    } catch (cause) {
      if (!(cause instanceof AlignlabError)) throw cause;
      throw new AlignlabError(cause.code, `Instance ${index}: ${cause.message}`, { cause });
    }
  }

  close(): void {
    for (const env of this.envs) env.close();
  }
}
