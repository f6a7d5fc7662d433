// A pendulum to be swung up, with Gaussian noise on its velocity: the smallest environment whose
// dynamics have a closed form (gaussian.ts). Angle 0 is upright. Reward as in the classic task:
// -(angle² + 0.1 velocity² + 0.001 torque²), of the state before the step.
import { contentHash } from '../../data/content-hash.js';
import type { RandomStream } from '../../data/random.js';
import type { EnvOptions, EnvSpec } from './environment.js';
import type { FullGap } from './gap.js';
import { type AnalyticEnv, type GaussianTransition, requireGaussian } from './gaussian.js';
import { StepNoise } from './noise.js';
import type { Pose } from './poses.js';
import { SteppedEnv } from './stepped.js';

// A rod of 1 kg and 1 m about its end. The noise is that of one step, in rad/s. There is no limit of
// the velocity, which would cut the Gaussian; the damping holds it below about 10 rad/s.
const constants = {
  gravity: 9.81,
  mass: 1,
  length: 1,
  damping: 0.1,
  torque: 2,
  noise: 0.1,
  seconds: 0.05,
};

const { gravity: g, length, torque: torqueLimit, seconds: dt } = constants;

/** To [-pi, pi). */
const wrapped = (angle: number): number =>
  angle - 2 * Math.PI * Math.floor((angle + Math.PI) / (2 * Math.PI));

class Pendulum extends SteppedEnv implements AnalyticEnv {
  #angle = 0;
  #velocity = 0;
  #noise = new StepNoise(0n, 'process noise');
  readonly #normals = new Float64Array(1);

  protected reseed(seed: bigint): void {
    this.#noise = new StepNoise(seed, 'process noise');
  }

  protected applyGap(_gap: FullGap): void {
    // The factors are read at each step.
  }

  protected release(): void {
    // Nothing lies outside of the heap.
  }

  protected place(stream: RandomStream): void {
    this.#angle = Math.PI * (2 * stream.uniform() - 1);
    this.#velocity = 2 * stream.uniform() - 1;
  }

  /** Expected velocity after a step; `torque` in N m. */
  #expected(angle: number, velocity: number, torque: number): number {
    const { gravity, friction, mass } = this.full;
    const inertia = (constants.mass * mass * length * length) / 3;
    const pull = 0.5 * constants.mass * mass * g * gravity * length * Math.sin(angle);
    const drag = constants.damping * friction * velocity;
    return velocity + (dt * (pull + torque - drag)) / inertia;
  }

  protected advance(acting: Float64Array, commanded: Float64Array): number {
    const torque = torqueLimit * commanded[0]!;
    const reward = -(this.#angle ** 2 + 0.1 * this.#velocity ** 2 + 0.001 * torque * torque);
    const deviation = constants.noise * this.full.processNoise;
    if (deviation > 0) this.#noise.fill(this.#normals, this.episode, this.steps);
    this.#velocity =
      this.#expected(this.#angle, this.#velocity, torqueLimit * acting[0]!) +
      (deviation > 0 ? deviation * this.#normals[0]! : 0);
    this.#angle = wrapped(this.#angle + dt * this.#velocity);
    return reward;
  }

  protected observe(out: Float32Array): void {
    out[0] = Math.cos(this.#angle);
    out[1] = Math.sin(this.#angle);
    out[2] = this.#velocity;
  }

  protected hasFallen(): boolean {
    return false;
  }

  transition(obs: ArrayLike<number>, action: ArrayLike<number>): GaussianTransition {
    requireGaussian(this);
    const torque = torqueLimit * Math.min(1, Math.max(-1, action[0]!));
    const mean = this.#expected(Math.atan2(obs[1]!, obs[0]!), obs[2]!, torque);
    return { mean: [mean], deviation: [constants.noise * this.full.processNoise] };
  }

  velocities(obs: ArrayLike<number>): readonly number[] {
    return [obs[2]!];
  }

  protected physicsLength(): number {
    return 2;
  }

  protected readPhysics(into: Float64Array): void {
    into[0] = this.#angle;
    into[1] = this.#velocity;
  }

  protected writePhysics(from: Float64Array): void {
    this.#angle = from[0]!;
    this.#velocity = from[1]!;
  }

  pose(): Pose {
    const [x2, z2] = [length * Math.sin(this.#angle), 1.2 + length * Math.cos(this.#angle)];
    return { segments: [{ x1: 0, z1: 1.2, x2, z2, radius: 0.05 }], x: 0 };
  }
}

/**
 * refMin and refMax are our own: mean returns of uniform actions and of energy control with a linear
 * regulator near the top, 200 steps (test/control/environments-analytic.test.ts).
 */
export const pendulumSpec = (maxEpisodeSteps = 200): EnvSpec => ({
  id: 'Pendulum',
  obsDim: 3,
  actDim: 1,
  maxEpisodeSteps,
  stepSeconds: dt,
  refMin: -1500,
  refMax: -150,
  xmlHash: contentHash(JSON.stringify(constants)),
  engine: 'alignlab pendulum 1',
});

export const makePendulum = ({ gap = {}, seed = 0n, maxEpisodeSteps }: EnvOptions): AnalyticEnv => {
  const env = new Pendulum(pendulumSpec(maxEpisodeSteps));
  env.setGap(gap);
  env.seed(seed);
  return env;
};
