// A native model and the calls that are under way on it.
import { AlignlabError } from '../errors.js';
import { type NativeCall, type NativeModel, guarded, settle } from './native.js';

export class ModelHandle {
  readonly native: NativeModel;
  readonly #pending = new Set<NativeCall<unknown>>();
  #disposal: Promise<void> | undefined;

  constructor(native: NativeModel) {
    this.native = native;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** Throws unless the model can be used: for what has effects before its first call. */
  requireUse(): void {
    if (!this.disposed) return;
    throw new AlignlabError('DISPOSED', 'This model has been disposed. Load it again.');
  }

  /** Starts a call and waits for it; an aborted signal cancels it and becomes the rejection. */
  async run<T>(start: (model: NativeModel) => NativeCall<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    this.requireUse();
    const call = guarded(() => start(this.native));
    this.#pending.add(call);
    try {
      return await settle(call, signal);
    } finally {
      this.#pending.delete(call);
    }
  }

  /** Calls that are under way reject with ABORTED. Idempotent; done when the memory is free. */
  async dispose(): Promise<void> {
    this.#disposal ??= this.#release();
    await this.#disposal;
  }

  async #release(): Promise<void> {
    const pending = [...this.#pending];
    for (const call of pending) call.cancel();
    // They hold the model, too.
    await Promise.allSettled(pending.map(({ promise }) => promise));
    await settle(guarded(() => this.native.dispose()));
  }
}
