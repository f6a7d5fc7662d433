// A wheel-legged robot that balances on its wheels, as a planar inverted pendulum on a cart: state
// (x, speed, pitch, pitch rate), one torque, physics at 200 Hz, after the robot of Niu et al. 2022 (§5) with the
// two rewards of their code. The masses 12.1 and 4.6 kg are theirs; lengths, inertias and noise
// are ours, so returns compare in kind only.
import { contentHash } from '../../data/content-hash.js';
import type { RandomStream } from '../../data/random.js';
import { AlignlabError } from '../../errors.js';
import type { DynamicsGap, EnvOptions, EnvSpec } from './environment.js';
import type { FullGap } from './gap.js';
import { type AnalyticEnv, type GaussianTransition, requireGaussian } from './gaussian.js';
import { StepNoise } from './noise.js';
import type { Pose } from './poses.js';
import { SteppedEnv } from './stepped.js';

const constants = {
  gravity: 9.81,
  bodyMass: 12.1, // kg
  bodyHeight: 0.2, // of the centre of mass above the axle, m
  bodyInertia: 0.15, // about the centre of mass, kg m²
  wheelMass: 1.2, // of both wheels
  wheelRadius: 0.1,
  wheelInertia: 0.006,
  damping: 0.02, // between body and wheels, N m s
  torque: 3, // limit, N m
  speedNoise: 0.002, // of one step, m/s
  rateNoise: 0.005, // of one step, rad/s
  pitchLimit: Math.PI / 6,
  seconds: 0.005,
};

const { gravity: g, bodyHeight: height, wheelRadius: radius, seconds: dt } = constants;

/** A textbook model of the robot: another mass, no delay, hardly any noise. */
export const wheelLeggedSimulator: DynamicsGap = { mass: 4.6 / 12.1, processNoise: 0.2 };

/** The robot as it is met: its nominal body with two steps (10 ms) of delay and more noise. */
export const wheelLeggedReal: DynamicsGap = { delay: 2, processNoise: 2 };

type Task = 'stand' | 'move';

class WheelLegged extends SteppedEnv implements AnalyticEnv {
  readonly #task: Task;
  /** x, speed, pitch, pitch rate. */
  readonly #state = new Float64Array(4);
  readonly #expected = new Float64Array(2);
  readonly #normals = new Float64Array(2);
  #noise = new StepNoise(0n, 'process noise');

  constructor(spec: EnvSpec, task: Task, actionRepeat: number) {
    super(spec, actionRepeat);
    this.#task = task;
  }

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
    for (let i = 0; i < 4; i += 1) this.#state[i] = 0.05 * (2 * stream.uniform() - 1);
  }

  /**
   * Expected speed and pitch rate after a step, from the two equations of Lagrange
   *   A x'' + B cos(p) p'' = (torque - drag)/r + B sin(p) p'²
   *   B cos(p) x'' + C p'' = B g sin(p) - (torque - drag)
   */
  #expect(speed: number, pitch: number, rate: number, torque: number): Float64Array {
    const { gravity, friction, mass } = this.full;
    const body = constants.bodyMass * mass;
    const wheels = constants.wheelMass + constants.wheelInertia / (radius * radius);
    const a = body + wheels;
    const b = body * height;
    const c = mass * constants.bodyInertia + b * height;
    const [sine, cosine] = [Math.sin(pitch), Math.cos(pitch)];
    const drive = torque - constants.damping * friction * (speed / radius - rate);
    const forward = drive / radius + b * sine * rate * rate;
    const turning = b * g * gravity * sine - drive;
    const coupling = b * cosine;
    const determinant = a * c - coupling * coupling;
    this.#expected[0] = speed + (dt * (c * forward - coupling * turning)) / determinant;
    this.#expected[1] = rate + (dt * (a * turning - coupling * forward)) / determinant;
    return this.#expected;
  }

  protected advance(acting: Float64Array, commanded: Float64Array): number {
    const state = this.#state;
    const torque = constants.torque * acting[0]!;
    const next = this.#expect(state[1]!, state[2]!, state[3]!, torque);
    const scale = this.full.processNoise;
    if (scale > 0) this.#noise.fill(this.#normals, this.episode, this.steps);
    state[1] = next[0]! + (scale > 0 ? scale * constants.speedNoise * this.#normals[0]! : 0);
    state[3] = next[1]! + (scale > 0 ? scale * constants.rateNoise * this.#normals[1]! : 0);
    state[0] = state[0]! + dt * state[1];
    state[2] = state[2]! + dt * state[3];
    return this.#reward(constants.torque * commanded[0]!);
  }

  #reward(torque: number): number {
    const state = this.#state;
    if (this.#task === 'move') return 15 - ((state[1]! - 0.2) ** 2 + torque ** 2);
    return 30 - torque ** 2 - (state[0]! ** 2 + state[1]! ** 2 + state[2]! ** 2 + state[3]! ** 2);
  }

  protected observe(out: Float32Array): void {
    out.set(this.#state);
  }

  protected hasFallen(): boolean {
    return !(Math.abs(this.#state[2]!) < constants.pitchLimit);
  }

  transition(obs: ArrayLike<number>, action: ArrayLike<number>): GaussianTransition {
    requireGaussian(this);
    const torque = constants.torque * Math.min(1, Math.max(-1, action[0]!));
    const mean = [...this.#expect(obs[1]!, obs[2]!, obs[3]!, torque)];
    const scale = this.full.processNoise;
    return { mean, deviation: [scale * constants.speedNoise, scale * constants.rateNoise] };
  }

  velocities(obs: ArrayLike<number>): readonly number[] {
    return [obs[1]!, obs[3]!];
  }

  protected physicsLength(): number {
    return 4;
  }

  protected readPhysics(into: Float64Array): void {
    into.set(this.#state);
  }

  protected writePhysics(from: Float64Array): void {
    this.#state.set(from);
  }

  pose(): Pose {
    const [x = 0, , pitch = 0] = this.#state;
    const top = 2 * height;
    const [x2, z2] = [x + top * Math.sin(pitch), radius + top * Math.cos(pitch)];
    const wheel = { x1: x, z1: radius, x2: x, z2: radius, radius };
    return { segments: [wheel, { x1: x, z1: radius, x2, z2, radius: 0.03 }], x };
  }
}

const taskOf = (task: unknown): Task => {
  if (task === 'stand' || task === 'move') return task;
  throw new AlignlabError(
    'OPTION_INVALID',
    `The task of WheelLegged must be 'stand' or 'move', got ${String(task)}.`,
  );
};

/** refMin 0 and refMax the reward of a perfect episode: 30 or 15 a step. */
export const wheelLeggedSpec = ({
  task = 'stand',
  maxEpisodeSteps = 1000,
  actionRepeat = 1,
}: Omit<EnvOptions, 'gap' | 'seed'> = {}): EnvSpec => ({
  id: 'WheelLegged',
  obsDim: 4,
  actDim: 1,
  maxEpisodeSteps,
  stepSeconds: dt * actionRepeat,
  refMin: 0,
  refMax: (taskOf(task) === 'stand' ? 30 : 15) * maxEpisodeSteps,
  xmlHash: contentHash(
    JSON.stringify(constants),
    task,
    ...(actionRepeat === 1 ? [] : [String(actionRepeat)]),
  ),
  engine: 'alignlab wheel-legged 1',
});

export const makeWheelLegged = (options: EnvOptions): AnalyticEnv => {
  const { gap = {}, seed = 0n, task = 'stand', actionRepeat = 1 } = options;
  const env = new WheelLegged(wheelLeggedSpec(options), task, actionRepeat);
  env.setGap(gap);
  env.seed(seed);
  return env;
};
