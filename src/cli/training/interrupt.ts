// Ctrl-C: once, to stop at the next good place; twice, to end at once.

/** As shells report an end by SIGINT. */
const exitCode = 130;

export class Interrupt {
  #asked = false;
  #tell: (() => void) | undefined;
  readonly #handle = (): void => {
    if (this.#asked) process.exit(exitCode);
    this.#asked = true;
    this.#tell?.();
  };

  get asked(): boolean {
    return this.#asked;
  }

  listen(tell: () => void): void {
    this.#tell = tell;
    process.on('SIGINT', this.#handle);
    process.on('SIGTERM', this.#handle);
  }

  dispose(): void {
    process.removeListener('SIGINT', this.#handle);
    process.removeListener('SIGTERM', this.#handle);
  }
}
