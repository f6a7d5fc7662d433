// Gaussian noise as a pure function of a seed, a purpose, an episode and a step: an environment that
// is restored in the midst of an episode meets the same noise, and no worker disturbs another's.
import { derivedSeed, philox } from '../../data/random.js';

const unit = (high: number, low: number): number =>
  ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;

export class StepNoise {
  readonly #key: readonly [number, number];

  constructor(seed: bigint, purpose: string) {
    const key = derivedSeed(seed, purpose);
    this.#key = [Number(key & 0xffffffffn), Number(key >> 32n)];
  }

  /** Standard normals of one step, two from each block of Philox (Box and Muller). */
  fill(out: Float64Array, episode: number, step: number): void {
    for (let at = 0; at < out.length; at += 2) {
      const [a, b, c, d] = philox([step, episode, at, 0], this.#key);
      const radius = Math.sqrt(-2 * Math.log1p(-unit(a, b)));
      const angle = 2 * Math.PI * unit(c, d);
      out[at] = radius * Math.cos(angle);
      if (at + 1 < out.length) out[at + 1] = radius * Math.sin(angle);
    }
  }
}
