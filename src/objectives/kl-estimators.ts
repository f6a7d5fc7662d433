// Estimates of KL(pi || reference) from one sample of pi, by its log-ratio x = log pi - log ref
// (Schulman 2020, "Approximating KL divergence"). As a value: k1 and k3 are unbiased, k2 is biased
// and good near 0. As a loss that is differentiated on samples of pi: k1's gradient has mean zero
// and trains nothing, k2's mean is the gradient of the KL, k3's is that of KL(reference || pi).

export type KlEstimator = 'k1' | 'k2' | 'k3';

export interface Estimate {
  readonly value: number;
  /** Derivative by log pi. */
  readonly slope: number;
}

// exp(20) is 5e8. A k3 beyond it goes on as its tangent: finite, and still pulling back to the
// reference, where a clamp would let go of exactly the tokens that are furthest away.
const linearFrom = 20;

/** exp(y) - 1 - y without cancellation near 0, where it is y^2 / 2. */
const expm1Less = (y: number): number =>
  Math.abs(y) < 1e-3 ? y * y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y / 120))) : Math.expm1(y) - y;

const k3 = (logRatio: number): Estimate => {
  const y = Math.min(-logRatio, linearFrom);
  const slope = -Math.expm1(y);
  return { value: expm1Less(y) - slope * (-logRatio - y), slope };
};

export const klEstimators: Readonly<Record<KlEstimator, (logRatio: number) => Estimate>> = {
  k1: (logRatio) => ({ value: logRatio, slope: 1 }),
  k2: (logRatio) => ({ value: logRatio ** 2 / 2, slope: logRatio }),
  k3,
};
