// Results of scoring, per segment.
import type { NativeScores } from './native.js';

export class Scores {
  /** Natural log-probabilities of all scored tokens, packed in order. */
  readonly logProbs: Float32Array;
  /** Of the next-token distribution at each scored token, in nats; empty when not asked for. */
  readonly entropies: Float32Array;
  /** Outputs of the scalar head at the places asked for, packed. */
  readonly scalars: Float32Array;
  /**
   * Segment s owns results offsets[s] to offsets[s + 1]: one for each of its tokens, less the
   * first when it is a root; none when it is not scored.
   */
  readonly offsets: Int32Array;

  constructor({ logProbs, entropies, scalars, offsets }: NativeScores) {
    this.logProbs = logProbs;
    this.entropies = entropies;
    this.scalars = scalars;
    this.offsets = offsets;
  }

  /** The log-probabilities of one segment's tokens: a view. */
  logProbsOf(segment: number): Float32Array {
    return this.logProbs.subarray(this.offsets[segment], this.offsets[segment + 1]);
  }

  entropiesOf(segment: number): Float32Array {
    return this.entropies.subarray(this.offsets[segment], this.offsets[segment + 1]);
  }
}
