// Who runs which stage, where several threads work at one study: each asks for every stage that it
// could run now, and is given the heaviest that nobody else has, one at a time.

export type Grant =
  /** It is this thread's to run. */
  | { readonly kind: 'run'; readonly key: string }
  /** Another thread has finished it. */
  | { readonly kind: 'finished'; readonly key: string };

export class Broker {
  /** By thread, in the order in which they were asked for: their weights. */
  readonly #wanted: readonly Map<string, number>[];
  readonly #running = new Map<string, number>();
  readonly #finished = new Set<string>();
  readonly #tell: (thread: number, grant: Grant) => void;

  constructor(threads: number, tell: (thread: number, grant: Grant) => void) {
    this.#wanted = Array.from({ length: threads }, () => new Map<string, number>());
    this.#tell = tell;
  }

  want(thread: number, key: string, weight = 0): void {
    // It may have been finished after the thread looked for it.
    if (this.#finished.has(key)) this.#tell(thread, { kind: 'finished', key });
    else this.#wanted[thread]!.set(key, weight);
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
      const key = busy.has(thread) ? null : this.#heaviest(keys);
      if (key === null) continue;
      keys.delete(key);
      this.#running.set(key, thread);
      this.#tell(thread, { kind: 'run', key });
    }
  }

  /** That does not run; of equal ones the first. */
  #heaviest(keys: ReadonlyMap<string, number>): string | null {
    let found: string | null = null;
    for (const [key, weight] of keys) {
      if (this.#running.has(key)) continue;
      if (found === null || weight > keys.get(found)!) found = key;
    }
    return found;
  }
}
