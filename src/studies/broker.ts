// Who runs which stage, where several threads work at one study: each asks for every stage that it
// could run now, and is given one at a time that nobody else has.

export type Grant =
  /** It is this thread's to run. */
  | { readonly kind: 'run'; readonly key: string }
  /** Another thread has finished it. */
  | { readonly kind: 'finished'; readonly key: string };

export class Broker {
  /** By thread, in the order in which they were asked for. */
  readonly #wanted: readonly Set<string>[];
  readonly #running = new Map<string, number>();
  readonly #finished = new Set<string>();
  readonly #tell: (thread: number, grant: Grant) => void;

  constructor(threads: number, tell: (thread: number, grant: Grant) => void) {
    this.#wanted = Array.from({ length: threads }, () => new Set<string>());
    this.#tell = tell;
  }

  want(thread: number, key: string): void {
    // It may have been finished after the thread looked for it.
    if (this.#finished.has(key)) this.#tell(thread, { kind: 'finished', key });
    else this.#wanted[thread]!.add(key);
    this.#grant();
  }

  /** The stage of the thread is over. One that failed may be run by another thread. */
  ended(key: string, finished: boolean): void {
    this.#running.delete(key);
    if (finished) {
      this.#finished.add(key);
      for (const [thread, keys] of this.#wanted.entries()) {
        if (keys.delete(key)) this.#tell(thread, { kind: 'finished', key });
      }
    }
    this.#grant();
  }

  #grant(): void {
    const busy = new Set(this.#running.values());
    for (const [thread, keys] of this.#wanted.entries()) {
      const key = busy.has(thread) ? undefined : [...keys].find((each) => !this.#running.has(each));
      if (key === undefined) continue;
      keys.delete(key);
      this.#running.set(key, thread);
      this.#tell(thread, { kind: 'run', key });
    }
  }
}
