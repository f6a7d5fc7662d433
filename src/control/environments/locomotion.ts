// A MuJoCo body that is to run along x. The gap is written into this instance's own model, so that
// instances with different gaps live side by side.
import { readFile } from 'node:fs/promises';
import { contentHash } from '../../data/content-hash.js';
import type { RandomStream } from '../../data/random.js';
import { AlignlabError, fromSystem } from '../../errors.js';
import type { EnvOptions, EnvSpec } from './environment.js';
import type { FullGap } from './gap.js';
import { type LocomotionTask, locomotionTasks } from './locomotion-tasks.js';
import { type MjData, type MjModel, type Mujoco, mujocoOfThread, mujocoVersion } from './mujoco.js';
import type { Pose, Segment } from './poses.js';
import { SteppedEnv } from './stepped.js';

interface Views {
  readonly qpos: Float64Array;
  readonly qvel: Float64Array;
  readonly ctrl: Float64Array;
  readonly warmstart: Float64Array;
}

const viewsOf = (data: MjData): Views => ({
  qpos: data.qpos,
  qvel: data.qvel,
  ctrl: data.ctrl,
  warmstart: data.qacc_warmstart,
});

const nominalGravity = -9.81;

const compile = (mujoco: Mujoco, task: LocomotionTask, xml: string): MjModel => {
  const model = mujoco.MjModel.from_xml_string(xml);
  if (!model) throw new AlignlabError('CONFIG_INVALID', `MuJoCo cannot compile ${task.file}.`);
  const { mjDSBL_ISLAND, mjDSBL_AUTORESET } = mujoco.mjtDisableBit;
  // Islands cost 3 % and change nothing for one body. Without the automatic reset a diverged state
  // shows as numbers that are not finite, and not as a silent jump to the start.
  model.opt.disableflags |= mjDSBL_ISLAND.value | mjDSBL_AUTORESET.value;
  return model;
};

class LocomotionEnv extends SteppedEnv {
  readonly #mujoco: Mujoco;
  readonly #model: MjModel;
  readonly #data: MjData;
  readonly #task: LocomotionTask;
  readonly #nominalFriction: Float64Array;
  readonly #start: Float64Array;
  #views: Views;

  constructor(mujoco: Mujoco, task: LocomotionTask, spec: EnvSpec, xml: string) {
    super(spec);
    this.#mujoco = mujoco;
    this.#task = task;
    this.#model = compile(mujoco, task, xml);
    this.#data = new mujoco.MjData(this.#model);
    this.#nominalFriction = Float64Array.from(this.#model.geom_friction);
    this.#views = viewsOf(this.#data);
    this.#start = Float64Array.from(this.#views.qpos);
  }

  /** The heap moves when any instance of this thread makes it grow, and old views become empty. */
  #live(): Views {
    if (this.#views.qpos.length === 0) this.#views = viewsOf(this.#data);
    return this.#views;
  }

  protected place(stream: RandomStream): void {
    const { resetScale, gaussianVelocities } = this.#task;
    const uniform = (): number => resetScale * (2 * stream.uniform() - 1);
    this.#mujoco.mj_resetData(this.#model, this.#data);
    const { qpos, qvel } = this.#live();
    for (let i = 0; i < qpos.length; i += 1) qpos[i] = this.#start[i]! + uniform();
    for (let i = 0; i < qvel.length; i += 1) {
      qvel[i] = gaussianVelocities ? resetScale * stream.gaussian() : uniform();
    }
    this.#mujoco.mj_forward(this.#model, this.#data);
  }

  protected advance(acting: Float64Array, commanded: Float64Array): number {
    const { frameSkip, controlCost, alive } = this.#task;
    const before = this.#live().qpos[0]!;
    this.#views.ctrl.set(acting);
    for (let k = 0; k < frameSkip; k += 1) this.#mujoco.mj_step(this.#model, this.#data);
    const velocity = (this.#live().qpos[0]! - before) / this.spec.stepSeconds;
    let squares = 0;
    for (const torque of commanded) squares += torque * torque;
    return velocity + alive - controlCost * squares;
  }

  protected observe(out: Float32Array): void {
    const { qpos, qvel } = this.#live();
    const limit = this.#task.velocityLimit;
    let at = 0;
    for (let i = 1; i < qpos.length; i += 1) out[at++] = qpos[i]!;
    for (const velocity of qvel) out[at++] = Math.min(limit, Math.max(-limit, velocity));
  }

  protected hasFallen(): boolean {
    const { qpos, qvel } = this.#live();
    return !this.#task.isHealthy(qpos, qvel);
  }

  protected applyGap({ gravity, friction }: FullGap): void {
    this.#model.opt.gravity[2] = nominalGravity * gravity;
    // Of all geoms: a contact takes the larger friction of its two, so the body's alone would
    // change nothing on a floor that keeps its own.
    const live = this.#model.geom_friction;
    for (let i = 0; i < live.length; i += 1) live[i] = this.#nominalFriction[i]! * friction;
  }

  protected physicsLength(): number {
    return 1 + this.#model.nq + 2 * this.#model.nv;
  }

  protected readPhysics(into: Float64Array): void {
    const { qpos, qvel, warmstart } = this.#live();
    into[0] = this.#data.time;
    into.set(qpos, 1);
    into.set(qvel, 1 + qpos.length);
    into.set(warmstart, 1 + qpos.length + qvel.length);
  }

  protected writePhysics(from: Float64Array): void {
    const { qpos, qvel, warmstart } = this.#live();
    this.#data.time = from[0]!;
    qpos.set(from.subarray(1, 1 + qpos.length));
    qvel.set(from.subarray(1 + qpos.length, 1 + qpos.length + qvel.length));
    warmstart.set(from.subarray(1 + qpos.length + qvel.length));
  }

  pose(): Pose {
    this.requireOpen();
    // After a step, places of geoms are those before its last substep.
    this.#mujoco.mj_kinematics(this.#model, this.#data);
    const [places, turns] = [this.#data.geom_xpos, this.#data.geom_xmat];
    const { geom_type: types, geom_size: sizes, ngeom } = this.#model;
    const segments: Segment[] = [];
    for (let g = 0; g < ngeom; g += 1) {
      if (types[g] !== this.#mujoco.mjtGeom.mjGEOM_CAPSULE.value) continue;
      const half = sizes[3 * g + 1]!;
      // A capsule lies along its own z axis, the third column of its rotation.
      const [dx, dz] = [half * turns[9 * g + 2]!, half * turns[9 * g + 8]!];
      const [x, z] = [places[3 * g]!, places[3 * g + 2]!];
      segments.push({ x1: x - dx, z1: z - dz, x2: x + dx, z2: z + dz, radius: sizes[3 * g]! });
    }
    return { segments, x: this.#live().qpos[0]! };
  }

  protected reseed(_seed: bigint): void {
    // The physics draws nothing.
  }

  protected release(): void {
    this.#data.delete();
    this.#model.delete();
  }
}

const assets = new URL('../../../assets/environments/', import.meta.url);

const readModel = async (file: string): Promise<string> => {
  const url = new URL(file, assets);
  try {
    return await readFile(url, 'utf8');
  } catch (cause) {
    throw fromSystem(cause, `read ${url.pathname}`);
  }
};

const specOf = (task: LocomotionTask, xml: string, maxEpisodeSteps: number): EnvSpec => ({
  id: task.id,
  obsDim: task.obsDim,
  actDim: task.actDim,
  maxEpisodeSteps,
  stepSeconds: task.timestep * task.frameSkip,
  refMin: task.refMin,
  refMax: task.refMax,
  xmlHash: contentHash(xml),
  engine: `@mujoco/mujoco ${mujocoVersion}`,
});

/** What is known without loading MuJoCo. */
export const locomotionSpec = async (
  id: LocomotionTask['id'],
  maxEpisodeSteps = 1000,
): Promise<EnvSpec> => {
  const task = locomotionTasks[id];
  return specOf(task, await readModel(task.file), maxEpisodeSteps);
};

export const makeLocomotion = async (
  id: LocomotionTask['id'],
  { gap = {}, seed = 0n, maxEpisodeSteps = 1000 }: EnvOptions,
): Promise<SteppedEnv> => {
  const task = locomotionTasks[id];
  const xml = await readModel(task.file);
  const spec = specOf(task, xml, maxEpisodeSteps);
  const env = new LocomotionEnv(await mujocoOfThread(), task, spec, xml);
  try {
    env.setGap(gap);
  } catch (cause) {
    env.close();
    throw cause;
  }
  env.seed(seed);
  return env;
};
