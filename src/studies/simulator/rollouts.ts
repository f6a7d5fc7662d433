// What trained policies do: poses of an episode, and the trials of the wheel-legged robot.
import { type Pose, type TimedPose, memberPolicy, recordPoses } from '../../control/index.js';
import type { Env, Policy } from '../../control/index.js';
import { derivedSeed } from '../../data/random.js';
import { meanOf } from '../../numbers.js';
import type { Artefact, Stages } from '../study.js';
import { type Run, makeArmEnv, openPolicies } from './training.js';

export interface RolloutResult extends Readonly<Record<string, unknown>> {
  /** Of the first seed's policy, its mean action, from the same start. */
  readonly real: readonly TimedPose[];
  readonly sim: readonly TimedPose[];
}

// Half a second apart in HalfCheetah: 4 s in all.
const poseOptions = { poses: 8, every: 10 } as const;

const rounded = (value: number): number => Math.round(value * 1e4) / 1e4;

const plainPose = ({ pose: { segments, x }, seconds }: TimedPose): TimedPose => {
  const pose: Pose = {
    x: rounded(x),
    segments: segments.map(({ x1, z1, x2, z2, radius }) => ({
      x1: rounded(x1),
      z1: rounded(z1),
      x2: rounded(x2),
      z2: rounded(z2),
      radius: rounded(radius),
    })),
  };
  return { pose, seconds: rounded(seconds) };
};

export const rolloutOf = (
  stages: Stages,
  run: Run,
  seeds: readonly number[],
): Promise<Artefact<RolloutResult>> =>
  stages.stage({
    name: `poses of ${run.arm.name}`,
    settings: { ...poseOptions },
    inputs: [run, ...(run.data ? [run.data] : [])],
    run: async () => {
      using learner = await openPolicies(run, seeds);
      const policy = memberPolicy(learner, 0, 'mean');
      using real = await makeArmEnv(run.arm, run.arm.real);
      using sim = await makeArmEnv(run.arm, run.arm.sim);
      const record = (env: Env): TimedPose[] =>
        recordPoses(env, policy, poseOptions).map(plainPose);
      return { real: record(real), sim: record(sim) };
    },
  });

/** A trial on the robot. */
export interface Trial {
  /** Whether it stood until the time was up. */
  readonly upright: boolean;
  readonly largestX: number;
  /** Mean over the trial, m/s. */
  readonly speed: number;
  readonly seconds: number;
}

export interface TrialsResult extends Readonly<Record<string, unknown>> {
  /** Of each member. */
  readonly members: readonly (readonly Trial[])[];
}

/** The observation of the wheel-legged robot begins with x and speed. */
const playTrial = (env: Env, policy: Policy): Trial => {
  const { obsDim, actDim, stepSeconds } = env.spec;
  const obs = new Float32Array(obsDim);
  const action = new Float32Array(actDim);
  env.reset(obs);
  const speeds: number[] = [];
  let largestX = Math.abs(obs[0]!);
  for (;;) {
    policy(obs, action);
    const { terminated, truncated } = env.step(action, obs);
    speeds.push(obs[1]!);
    largestX = Math.max(largestX, Math.abs(obs[0]!));
    if (!terminated && !truncated) continue;
    const seconds = speeds.length * stepSeconds;
    return { upright: !terminated, largestX, speed: meanOf(speeds), seconds };
  }
};

export const trialsOf = (
  stages: Stages,
  run: Run,
  seeds: readonly number[],
  { trials, seconds }: { readonly trials: number; readonly seconds: number },
): Promise<Artefact<TrialsResult>> =>
  stages.stage({
    name: `trials of ${run.arm.name}`,
    settings: { trials, seconds },
    inputs: [run, ...(run.data ? [run.data] : [])],
    run: async ({ tick, signal }) => {
      using learner = await openPolicies(run, seeds);
      using real = await makeArmEnv(run.arm, run.arm.real, seconds);
      const members: Trial[][] = [];
      for (const member of seeds.keys()) {
        const policy = memberPolicy(learner, member, 'mean');
        real.seed(derivedSeed(seeds[member]!, 'trials'));
        members.push(Array.from({ length: trials }, () => playTrial(real, policy)));
        tick(member + 1, seeds.length);
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
      }
      return { members };
    },
  });
