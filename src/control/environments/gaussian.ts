// Transitions that are Gaussian in closed form, so that what discriminators estimate can be graded:
// the log-ratio of two dynamics at a transition, and the divergence between them at a state.
import { AlignlabError } from '../../errors.js';
import type { SteppedEnv } from './stepped.js';

/** Of the noisy coordinates of the next state (velocities); the others follow from them. */
export interface GaussianTransition {
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

export interface AnalyticEnv extends SteppedEnv {
  /** Distribution of the next velocities after `action` in the state that `obs` shows. */
  transition(obs: ArrayLike<number>, action: ArrayLike<number>): GaussianTransition;
  /** The noisy coordinates of an observation. */
  velocities(obs: ArrayLike<number>): readonly number[];
}

/** @throws OPTION_INVALID for a gap under which the next state is not Gaussian given (s, a) */
export const requireGaussian = (env: SteppedEnv): void => {
  const { jointNoise = 0, delay = 0, processNoise = 1 } = env.gap;
  const { actionRepeat } = env;
  if (jointNoise === 0 && delay === 0 && processNoise > 0 && actionRepeat === 1) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `The transitions of ${env.spec.id} have no closed form with joint noise (clipping), delay (the ` +
      'observation is no state), without process noise or over several steps of the physics. Set ' +
      'jointNoise and delay to 0, processNoise above 0, and leave actionRepeat out.',
  );
};

const logDensity = ({ mean, deviation }: GaussianTransition, at: readonly number[]): number => {
  let total = 0;
  for (let i = 0; i < mean.length; i += 1) {
    const z = (at[i]! - mean[i]!) / deviation[i]!;
    total -= (z * z) / 2 + Math.log(deviation[i]!) + Math.log(2 * Math.PI) / 2;
  }
  return total;
};

/** ln P_real(s'|s,a) - ln P_sim(s'|s,a). */
export const exactLogRatio = (
  real: AnalyticEnv,
  sim: AnalyticEnv,
  obs: ArrayLike<number>,
  action: ArrayLike<number>,
  next: ArrayLike<number>,
): number =>
  logDensity(real.transition(obs, action), real.velocities(next)) -
  logDensity(sim.transition(obs, action), sim.velocities(next));

/** u(s, a) = KL(P_sim(.|s,a) || P_real(.|s,a)) (Niu et al. 2022). */
export const exactDivergence = (
  real: AnalyticEnv,
  sim: AnalyticEnv,
  obs: ArrayLike<number>,
  action: ArrayLike<number>,
): number => {
  const [p, q] = [sim.transition(obs, action), real.transition(obs, action)];
  let total = 0;
  for (let i = 0; i < p.mean.length; i += 1) {
    const [sp, sq] = [p.deviation[i]!, q.deviation[i]!];
    const shift = p.mean[i]! - q.mean[i]!;
    total += Math.log(sq / sp) + (sp * sp + shift * shift) / (2 * sq * sq) - 0.5;
  }
  return total;
};
