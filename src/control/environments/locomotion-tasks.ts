// HalfCheetah, Walker2d and Hopper as Gymnasium's version 4 has them: model, reward, end. The
// reference returns are D4RL's (d4rl/infos.py): a random policy's and an expert's.

export interface LocomotionTask {
  readonly id: 'HalfCheetah' | 'Walker2d' | 'Hopper';
  /** Under assets/environments. */
  readonly file: string;
  readonly obsDim: number;
  readonly actDim: number;
  /** Of the model, in seconds, and how many of them make a control step. */
  readonly timestep: number;
  readonly frameSkip: number;
  /** reward = (velocity along x) + alive - controlCost · (sum of squared actions) */
  readonly controlCost: number;
  readonly alive: number;
  /** Observed velocities are clipped to this. */
  readonly velocityLimit: number;
  /** Half-width of the uniform noise on positions at reset; velocities get the same, or Gaussian. */
  readonly resetScale: number;
  readonly gaussianVelocities: boolean;
  readonly isHealthy: (qpos: Float64Array, qvel: Float64Array) => boolean;
  readonly refMin: number;
  readonly refMax: number;
}

const within = (values: Float64Array, from: number, limit: number): boolean => {
  for (let i = from; i < values.length; i += 1) if (!(Math.abs(values[i]!) < limit)) return false;
  return true;
};

const halfCheetah: LocomotionTask = {
  id: 'HalfCheetah',
  file: 'half_cheetah.xml',
  obsDim: 17,
  actDim: 6,
  timestep: 0.01,
  frameSkip: 5,
  controlCost: 0.1,
  alive: 0,
  velocityLimit: Infinity,
  resetScale: 0.1,
  gaussianVelocities: true,
  isHealthy: () => true,
  refMin: -280.178953,
  refMax: 12135,
};

const walker: LocomotionTask = {
  id: 'Walker2d',
  file: 'walker2d.xml',
  obsDim: 17,
  actDim: 6,
  timestep: 0.002,
  frameSkip: 4,
  controlCost: 1e-3,
  alive: 1,
  velocityLimit: 10,
  resetScale: 5e-3,
  gaussianVelocities: false,
  isHealthy: (qpos) => qpos[1]! > 0.8 && qpos[1]! < 2 && Math.abs(qpos[2]!) < 1,
  refMin: 1.629008,
  refMax: 4592.3,
};

const hopper: LocomotionTask = {
  ...walker,
  id: 'Hopper',
  file: 'hopper.xml',
  obsDim: 11,
  actDim: 3,
  isHealthy: (qpos, qvel) =>
    qpos[1]! > 0.7 && Math.abs(qpos[2]!) < 0.2 && within(qpos, 2, 100) && within(qvel, 0, 100),
  refMin: -20.272305,
  refMax: 3234.3,
};

export const locomotionTasks = { HalfCheetah: halfCheetah, Walker2d: walker, Hopper: hopper };
