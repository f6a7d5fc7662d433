// MuJoCo, loaded when an environment first needs it: one WebAssembly heap for each thread. The types
// here are the part of its interface that is used, with the arrays' types, which its own leave open.
import { AlignlabError } from '../../errors.js';

/** The version that trajectories, tests and datasets are made with. */
export const mujocoVersion = '3.14.0';

export interface MjModel {
  readonly opt: { readonly gravity: Float64Array; readonly timestep: number; disableflags: number };
  readonly nq: number;
  readonly nv: number;
  readonly ngeom: number;
  readonly geom_friction: Float64Array;
  readonly geom_type: Int32Array;
  readonly geom_size: Float64Array;
  delete(): void;
}

export interface MjData {
  /** Getters make a new view of the heap at each call: keep what they return. */
  readonly qpos: Float64Array;
  readonly qvel: Float64Array;
  readonly ctrl: Float64Array;
  readonly qacc_warmstart: Float64Array;
  readonly geom_xpos: Float64Array;
  readonly geom_xmat: Float64Array;
  time: number;
  delete(): void;
}

interface Enumerated {
  readonly value: number;
}

export interface Mujoco {
  readonly MjModel: { from_xml_string(xml: string): MjModel | null };
  readonly MjData: new (model: MjModel) => MjData;
  readonly mjtDisableBit: {
    readonly mjDSBL_ISLAND: Enumerated;
    readonly mjDSBL_AUTORESET: Enumerated;
  };
  readonly mjtGeom: { readonly mjGEOM_CAPSULE: Enumerated };
  mj_resetData(model: MjModel, data: MjData): void;
  mj_forward(model: MjModel, data: MjData): void;
  mj_kinematics(model: MjModel, data: MjData): void;
  mj_step(model: MjModel, data: MjData): void;
  mj_versionString(): string;
}

type Importer = () => Promise<{ readonly default: () => Promise<unknown> }>;

const install = `npm install @mujoco/mujoco@${mujocoVersion}`;

/**
 * Loads MuJoCo afresh. `importer` is for tests.
 * @throws ADDON_NOT_FOUND where the package is not installed, ADDON_STALE for another version
 */
export const loadMujoco = async (
  importer: Importer = () => import('@mujoco/mujoco'),
): Promise<Mujoco> => {
  let mujoco: Mujoco;
  try {
    mujoco = (await (await importer()).default()) as Mujoco;
  } catch (cause) {
    const missing =
      cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND';
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new AlignlabError(
      'ADDON_NOT_FOUND',
      missing
        ? `The physics of this environment need the package @mujoco/mujoco, which is not installed. Run ${install}.`
        : `The package @mujoco/mujoco does not load (${detail}). Install it anew: ${install}.`,
      { cause },
    );
  }
  const found = mujoco.mj_versionString();
  if (found !== mujocoVersion) {
    throw new AlignlabError(
      'ADDON_STALE',
      `@mujoco/mujoco is of version ${found}; the environments are made for ${mujocoVersion}. Run ${install}.`,
    );
  }
  return mujoco;
};

let loading: Promise<Mujoco> | undefined;

/** This thread's MuJoCo. After a failure the next call tries again. */
export const mujocoOfThread = (): Promise<Mujoco> => {
  loading ??= loadMujoco().catch((cause: unknown) => {
    loading = undefined;
    throw cause;
  });
  return loading;
};
