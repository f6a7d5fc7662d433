// What forward() returns: results, and the way back.
import type { NativePass, NativeScores } from './native.js';
import { Scores } from './scores.js';

/** d(loss)/d(result) for each result of the pass; what is left out counts as zeros. */
export interface Coefficients {
  readonly logProbs?: Float32Array;
  readonly entropies?: Float32Array;
  readonly scalars?: Float32Array;
}

type Backward = (
  pass: NativePass,
  coefficients: Coefficients,
  signal?: AbortSignal,
) => Promise<void>;

export class ForwardPass extends Scores implements Disposable {
  readonly #pass: NativePass;
  readonly #backward: Backward;

  constructor(result: NativeScores & { readonly pass: NativePass }, backward: Backward) {
    super(result);
    this.#pass = result.pass;
    this.#backward = backward;
  }

  /**
   * Adds the gradient of the loss to the model's gradients, and uses the pass up. Aborted or
   * failed half-way, it leaves the model's gradients cleared.
   */
  async backward(
    coefficients: Coefficients,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<void> {
    await this.#backward(this.#pass, coefficients, signal);
    this.dispose();
  }

  /** Gives the activations back. Idempotent. */
  dispose(): void {
    this.#pass.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
