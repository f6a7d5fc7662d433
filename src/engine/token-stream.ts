// An async iterator over the tokens of a running generation.
import type { Generation, TokenEvent } from './generate.js';

type Start = (signal: AbortSignal, emit: (event: TokenEvent) => void) => Promise<Generation[]>;

/** Iterate once; `result` resolves to all generations when the work is done. */
export class TokenStream implements AsyncIterable<TokenEvent> {
  readonly result: Promise<Generation[]>;
  readonly #abort = new AbortController();
  readonly #events: TokenEvent[] = [];
  #wake: () => void = () => undefined;
  #done = false;

  constructor(signal: AbortSignal | undefined, start: Start) {
    const both = signal ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal;
    this.result = start(both, (event) => {
      this.#events.push(event);
      this.#wake();
    }).finally(() => {
      this.#done = true;
      this.#wake();
    });
    // Whoever iterates sees the failure there; whoever only awaits `result` sees it there.
    this.result.catch(() => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TokenEvent, void> {
    try {
      for (;;) {
        while (this.#events.length > 0) yield* this.#events.splice(0);
        if (this.#done) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      await this.result;
    } finally {
      this.#abort.abort();
    }
  }
}
