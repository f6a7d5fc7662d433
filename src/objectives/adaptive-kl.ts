// The KL coefficient that holds KL(pi || reference) near a target.

export interface KlController {
  /** Mean sequence KL to hold, in nats. */
  readonly target: number;
  /** Samples over which the coefficient may change by a factor of about e^0.2. */
  readonly horizon: number;
}

const largestError = 0.2;

/**
 * The next coefficient, Ziegler et al. 2019, section 2.2: it grows by the factor
 * 1 + clip(kl / target - 1, -0.2, 0.2) samples / horizon, and never shrinks by more than half. The coefficient is the controller's
 * whole state: a run that keeps this number goes on exactly.
 */
export const adaptiveKl = (
  coefficient: number,
  { kl, samples }: { readonly kl: number; readonly samples: number },
  { target, horizon }: KlController,
): number => {
  const error = Math.min(largestError, Math.max(-largestError, kl / target - 1));
  return coefficient * Math.max(0.5, 1 + (error * samples) / horizon);
};
