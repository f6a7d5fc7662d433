// What forward() returns: results, and the way back.
import { AlignlabError } from '../errors.js';
import type { NativePass, NativeScores } from './native.js';
import { Scores } from './scores.js';

/** d(loss)/d(result) for each result of the pass; what is left out counts as zeros. */
export interface Coefficients {
  readonly logProbs?: Float32Array;
  readonly entropies?: Float32Array;
  readonly scalars?: Float32Array;
}

const checkCoefficients = (coefficients: Coefficients): void => {
  for (const name of ['logProbs', 'entropies', 'scalars'] as const) {
    const values: unknown = coefficients[name];
    if (values === undefined || values instanceof Float32Array) continue;
    throw new AlignlabError(
      'BATCH_INVALID',
      `The coefficients of ${name} must be a Float32Array. Make one by Float32Array.from(values).`,
    );
  }
};

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
    checkCoefficients(coefficients);
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
