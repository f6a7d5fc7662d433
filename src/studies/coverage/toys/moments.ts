// Mean and spread of gradient estimates, against the gradient that they estimate.
import { normOf } from '../../../policies/adamw.js';

export interface GradientQuality extends Record<string, unknown> {
  /** |mean of the estimates - exact gradient| over |exact gradient|. */
  readonly bias: number;
  /** What bias an unbiased estimate shows by chance: sqrt(variance / draws) over |gradient|. */
  readonly standardError: number;
  /** Trace of the covariance of one estimate over |gradient|^2. */
  readonly variance: number;
}

export class GradientMoments {
  readonly #exact: Float64Array;
  readonly #sum: Float64Array;
  #squares = 0;
  #count = 0;

  constructor(exact: Float64Array) {
    this.#exact = exact;
    this.#sum = new Float64Array(exact.length);
  }

  /** Counts the deviation from the exact gradient, so that nothing cancels. */
  add(estimate: Float64Array): void {
    for (let i = 0; i < estimate.length; i += 1) {
      const difference = estimate[i]! - this.#exact[i]!;
      this.#sum[i]! += difference;
      this.#squares += difference * difference;
    }
    this.#count += 1;
  }

  get quality(): GradientQuality {
    const norm = normOf(this.#exact);
    const bias = normOf(this.#sum) / this.#count;
    const variance = (this.#squares - this.#count * bias * bias) / (this.#count - 1);
    return {
      bias: bias / norm,
      standardError: Math.sqrt(variance / this.#count) / norm,
      variance: variance / (norm * norm),
    };
  }
}
