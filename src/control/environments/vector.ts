// Many instances of an environment, stepped at once over worker threads. Each instance has a seed of
// its own that the number of workers does not touch: results are the same for any number of them.
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { derivedSeed } from '../../data/random.js';
import { AlignlabError, fromNative } from '../../errors.js';
import { requireWhole } from '../../options.js';
import type { DynamicsGap, EnvId, EnvOptions, EnvSpec } from './environment.js';
import { Instances } from './instances.js';
import { describeEnv } from './make.js';
import {
  type Reply,
  type Request,
  type Share,
  type SharedArrays,
  sharedArrays,
} from './vector-messages.js';

export interface VectorOptions extends EnvOptions {
  readonly instances: number;
  /** Threads besides the caller's; 0 steps in the caller's. Default 0. */
  readonly workers?: number;
  /** Gaps of single instances; others have `gap`. */
  readonly gaps?: readonly DynamicsGap[];
}

/** Something that answers for a share of the instances. */
interface Part {
  readonly from: number;
  readonly to: number;
  ask(request: Request): Promise<Float64Array | undefined>;
  close(): Promise<void>;
}

const localPart = async (share: Share): Promise<Part> => {
  const instances = await Instances.make(share);
  return {
    from: share.from,
    to: share.to,
    ask: async (request) => {
      await Promise.resolve();
      return instances.handle(request);
    },
    close: () => {
      instances.close();
      return Promise.resolve();
    },
  };
};

// The entry has this file's own extension: .ts in a checkout, .js in the package.
const entry = new URL(
  `vector-worker${extname(new URL(import.meta.url).pathname)}`,
  import.meta.url,
);

class WorkerPart implements Part {
  readonly from: number;
  readonly to: number;
  readonly #worker: Worker;
  #waiting: { resolve: (reply: Reply) => void; reject: (cause: unknown) => void } | undefined;
  #failure: AlignlabError | undefined;
  #closing = false;

  private constructor(share: Share) {
    this.from = share.from;
    this.to = share.to;
    this.#worker = new Worker(entry, { workerData: share });
    this.#worker.on('message', (reply: Reply) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.resolve(reply);
    });
    this.#worker.on('error', (cause) => {
      this.#fail('failed', cause);
    });
    this.#worker.on('exit', (code) => {
      if (!this.#closing) this.#fail(`ended with code ${code}`);
    });
  }

  static async start(share: Share): Promise<WorkerPart> {
    const part = new WorkerPart(share);
    try {
      await part.#next();
    } catch (cause) {
      await part.close();
      throw cause;
    }
    // Between requests a forgotten environment must not keep the program from ending.
    part.#worker.unref();
    return part;
  }

  #fail(what: string, cause?: unknown): void {
    const detail = cause instanceof Error ? ` (${cause.message})` : '';
    this.#failure ??= new AlignlabError(
      'INTERNAL',
      `A worker thread of the environments ${what}${detail}. Make the environments anew.`,
      { cause },
    );
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }

  async #next(): Promise<Float64Array | undefined> {
    if (this.#failure) throw this.#failure;
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    if (reply.kind === 'failed') {
      const cause = Object.assign(new Error(reply.message), { code: reply.code });
      throw fromNative(cause);
    }
    return reply.kind === 'done' ? reply.state : undefined;
  }

  async ask(request: Request): Promise<Float64Array | undefined> {
    this.#worker.ref();
    try {
      this.#worker.postMessage(request);
      return await this.#next();
    } finally {
      this.#worker.unref();
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#waiting?.reject(new AlignlabError('DISPOSED', 'The environments were closed.'));
    this.#waiting = undefined;
    await this.#worker.terminate();
  }
}

const seedsOf = (seed: bigint, n: number): bigint[] =>
  Array.from({ length: n }, (_, i) => derivedSeed(seed, 'instance', i));

export class VectorEnv implements AsyncDisposable {
  readonly spec: EnvSpec;
  readonly instances: number;
  /** Shared with the workers: read and write them only while no call is under way. */
  readonly arrays: SharedArrays;
  readonly #parts: readonly Part[];
  #busy = false;
  #closed = false;

  private constructor(spec: EnvSpec, n: number, arrays: SharedArrays, parts: readonly Part[]) {
    this.spec = spec;
    this.instances = n;
    this.arrays = arrays;
    this.#parts = parts;
  }

  static async make(id: EnvId, options: VectorOptions): Promise<VectorEnv> {
    const { instances: n, workers = 0, gaps = [], ...each } = options;
    requireWhole('instances', n);
    requireWhole('workers', workers, 0);
    if (gaps.length > n) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `There are ${gaps.length} gaps for ${n} instances. Give at most one for each.`,
      );
    }
    const spec = await describeEnv(id, each);
    const arrays = sharedArrays(n, spec.obsDim, spec.actDim);
    const seeds = seedsOf(each.seed ?? 0n, n);
    const count = Math.max(1, Math.min(workers, n));
    const started = Array.from({ length: count }, (_, k) => {
      const [from, to] = [Math.floor((k * n) / count), Math.floor(((k + 1) * n) / count)];
      const share: Share = { from, to, id, options: each, seeds, arrays };
      return workers === 0 ? localPart(share) : WorkerPart.start(share);
    });
    const results = await Promise.allSettled(started);
    const parts = results.flatMap((result) =>
      result.status === 'fulfilled' ? [result.value] : [],
    );
    const vector = new VectorEnv(spec, n, arrays, parts);
    try {
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      for (const [i, gap] of gaps.entries()) await vector.setGap(i, gap);
    } catch (cause) {
      await vector.close();
      throw cause;
    }
    return vector;
  }

  /** Begins episode 0 of every instance; `arrays.observations` holds where they start. */
  async reset(): Promise<void> {
    await this.#askAll({ kind: 'reset' });
  }

  /**
   * One step of every instance under `arrays.actions`. An instance whose episode ended is reset at
   * once: `nextObservations` shows the end, `observations` the new start.
   */
  async step(): Promise<void> {
    await this.#askAll({ kind: 'step' });
  }

  async setGap(index: number, gap: DynamicsGap): Promise<void> {
    await this.#askOne({ kind: 'setGap', index, gap });
  }

  async getState(index: number): Promise<Float64Array> {
    return (await this.#askOne({ kind: 'getState', index }))!;
  }

  /** The instance goes on from there; its row of `observations` follows with the next step. */
  async setState(index: number, state: Float64Array): Promise<void> {
    await this.#askOne({ kind: 'setState', index, state });
  }

  async #exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#closed) {
      throw new AlignlabError('DISPOSED', `These ${this.spec.id} are closed. Make others.`);
    }
    if (this.#busy) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `A call on these ${this.spec.id} is under way. Await it before the next.`,
      );
    }
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }

  async #askAll(request: Request): Promise<void> {
    await this.#exclusive(async () => {
      // All are heard out first, so that none still writes when the error is thrown.
      const results = await Promise.allSettled(this.#parts.map((part) => part.ask(request)));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    });
  }

  #askOne(
    request: Exclude<Request, { readonly kind: 'reset' | 'step' }>,
  ): Promise<Float64Array | undefined> {
    const part = this.#parts.find(({ from, to }) => request.index >= from && request.index < to);
    if (!part || !Number.isInteger(request.index)) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `There is no instance ${request.index}; there are 0 to ${this.instances - 1}.`,
      );
    }
    return this.#exclusive(() => part.ask(request));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(this.#parts.map((part) => part.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
