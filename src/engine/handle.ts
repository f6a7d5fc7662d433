// A native model and the calls that are under way on it.
import { AlignlabError } from '../errors.js';
import { type NativeCall, type NativeModel, guarded, settle } from './native.js';

export class ModelHandle {
  readonly native: NativeModel;
  readonly #pending = new Set<NativeCall<unknown>>();
  #disposed = false;

  constructor(native: NativeModel) {
    this.native = native;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Starts a call and waits for it; an aborted signal cancels it and becomes the rejection. */
  async run<T>(start: (model: NativeModel) => NativeCall<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#disposed) {
      throw new AlignlabError('DISPOSED', 'This model has been disposed. Load it again.');
    }
    const call = guarded(() => start(this.native));
    this.#pending.add(call);
    try {
      return await settle(call, signal);
    } finally {
      this.#pending.delete(call);
    }
  }

  /** Calls that are under way reject with ABORTED. Idempotent. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const pending = [...this.#pending];
    for (const call of pending) call.cancel();
    this.native.dispose();
    await Promise.allSettled(pending.map(({ promise }) => promise));
  }
}
