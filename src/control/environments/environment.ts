// What an environment is, whatever computes its physics: actions in [-1, 1], flat observations in
// arrays of the caller, ends of two kinds, and a gap in its dynamics that is set while it lives.
import type { Pose } from './poses.js';

export const envIds = ['HalfCheetah', 'Walker2d', 'Hopper', 'Pendulum', 'WheelLegged'] as const;

export type EnvId = (typeof envIds)[number];

/**
 * How the dynamics differ from the nominal ones. Absent means nominal. The gap belongs to one
 * instance: another instance of the same environment does not see it.
 */
export interface DynamicsGap {
  /** Times the nominal gravity. */
  readonly gravity?: number;
  /** Times the nominal friction: of every contact, the floor's too; of joints where analytic. */
  readonly friction?: number;
  /** Times the nominal mass of the body. Analytic environments only. */
  readonly mass?: number;
  /** Standard deviation of the Gaussian noise on each action, which lies in [-1, 1]. */
  readonly jointNoise?: number;
  /**
   * Control steps between an action and its effect: absolute, whole, 0 to 20. Of the physics' steps
   * where an action is held for several (`actionRepeat`).
   */
  readonly delay?: number;
  /** Times the nominal process noise on velocities. Analytic environments only. */
  readonly processNoise?: number;
}

export interface EnvSpec {
  readonly id: EnvId;
  readonly obsDim: number;
  readonly actDim: number;
  readonly maxEpisodeSteps: number;
  /** Seconds from one action to the next. */
  readonly stepSeconds: number;
  /** Returns that score 0 and 100: D4RL's constants of MuJoCo tasks; else see the environment. */
  readonly refMin: number;
  readonly refMax: number;
  /** SHA-256 of the model: the XML file's bytes, or the constants of an analytic environment. */
  readonly xmlHash: string;
  /** What computes the physics, with its version: '@mujoco/mujoco 3.14.0'. */
  readonly engine: string;
}

export interface StepResult {
  reward: number;
  /** The task ended in this state: its value is zero from here on. */
  terminated: boolean;
  /** The time was up; the state has a value. */
  truncated: boolean;
}

export interface Env extends Disposable {
  readonly spec: EnvSpec;
  readonly gap: DynamicsGap;
  /** Replaces the gap; what it leaves out is nominal again. In force from the next step. */
  setGap(gap: DynamicsGap): void;
  /** Starts the count of episodes again: the next reset begins episode 0 of this seed. */
  seed(seed: bigint): void;
  /** Begins an episode; `out` [obsDim] takes the first observation. */
  reset(out: Float32Array): void;
  /**
   * One control step. `action` [actDim] is clipped to [-1, 1], after noise. `out` [obsDim] takes the
   * next observation. The result is one object, written anew by each step.
   * @throws NON_FINITE for an action or a state that is not finite
   */
  step(action: Float32Array | Float64Array, out: Float32Array): StepResult;
  /** All that decides what follows, the noise to come included. */
  getState(): Float64Array;
  /** Goes on from such a state, bit for bit, if the gap is the one it was taken under. */
  setState(state: Float64Array): void;
  /** Where the parts of the body are now, for pictures. */
  pose(): Pose;
  close(): void;
}

export interface EnvOptions {
  readonly gap?: DynamicsGap;
  /** Default 0. */
  readonly seed?: bigint;
  /** Steps after which an episode is truncated. Default 1000; of the pendulum 200. */
  readonly maxEpisodeSteps?: number;
  /** What the wheel-legged robot is rewarded for. Default 'stand'. */
  readonly task?: 'stand' | 'move';
  /**
   * Steps of the wheel-legged robot's physics (5 ms) for which an action is held: 4 acts at 50 Hz.
   * A control step is then so many of them and its reward their mean; `maxEpisodeSteps` counts control
   * steps. Delay and noise stay with the physics. Default 1.
   */
  readonly actionRepeat?: number;
}
