// The machine as the engine sees it, the devices that models and learners run on, and the two settings that
// belong to no model.
import { AlignlabError } from '../errors.js';
import { guarded, native, settle } from './native.js';

export interface EngineInfo {
  readonly device: 'cpu';
  readonly instructionSet: string;
  readonly instructionSets: readonly { readonly name: string; readonly supported: boolean }[];
  readonly threads: number;
  readonly hardwareThreads: number;
  /** Bytes held by weights, gradients, activations and caches of this process. */
  readonly bytesInUse: number;
  /** Bytes that they may hold together; 0 when only the machine limits them. */
  readonly byteLimit: number;
}

/**
 * Where a model or a learner runs: 'cuda' is 'cuda:0'; 'auto' is what the variable ALIGNLAB_DEVICE names, else the
 * CPU.
 */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** The name without choices. */
export type DeviceName = 'cpu' | `cuda:${number}`;

/** Throws DEVICE_UNAVAILABLE for a name that is none. Opens nothing. */
export const deviceName = (device: Device = 'auto'): DeviceName => {
  const { ALIGNLAB_DEVICE: asked = '' } = process.env;
  const automatic = asked === '' ? 'cpu' : asked;
  const named = device === 'auto' ? automatic : device;
  if (named === 'cpu') return named;
  if (named === 'cuda') return 'cuda:0';
  const number = /^cuda:(\d{1,3})$/.exec(named)?.[1];
  if (number !== undefined) return `cuda:${Number(number)}`;
  throw new AlignlabError(
    'DEVICE_UNAVAILABLE',
    `There is no device "${named}". Use 'cpu', 'cuda' or 'cuda:N', in ALIGNLAB_DEVICE too.`,
  );
};

/** -1 for the CPU, as the addon counts. */
export const deviceNumber = (name: DeviceName): number =>
  name === 'cpu' ? -1 : Number(name.slice('cuda:'.length));

export interface CudaInfo {
  readonly devices: readonly {
    readonly name: string;
    /** Compute capability, such as '9.0'. */
    readonly capability: string;
    readonly multiprocessors: number;
    readonly totalBytes: number;
    readonly freeBytes: number;
    /** What models with `exact: false` multiply by, such as 'cuBLASLt 13.1.1'; null: they are exact. */
    readonly fast: string | null;
    /** Held by this thread's models and learners there, and the most that they have held. */
    readonly bytesInUse: number;
    readonly peakBytes: number;
  }[];
  /** Why there is none; empty where there is one. */
  readonly reason: string;
}

/** NVIDIA GPUs that the engine can use. Opens the CUDA library, if it is there. */
export const cudaInfo = (): CudaInfo => {
  const { devices, reason } = guarded(() => native().cuda());
  return {
    devices: devices.map(({ major, minor, fast, ...rest }) => ({
      ...rest,
      fast: fast === '' ? null : fast,
      capability: `${major}.${minor}`,
    })),
    reason,
  };
};

/** @throws DEVICE_UNAVAILABLE, with the reason, for a device that there is not. Opens no device. */
export const requireDevice = (device: Device): void => {
  const number = deviceNumber(deviceName(device));
  if (number < 0) return;
  const { devices, reason } = cudaInfo();
  if (number < devices.length) return;
  throw new AlignlabError(
    'DEVICE_UNAVAILABLE',
    devices.length === 0
      ? `device '${device}' is not available: ${reason}`
      : `There is no device '${device}'; this machine has ${devices.length}, counted from 0.`,
  );
};

export const engineInfo = (): EngineInfo => {
  const { instructionSets, hardwareThreads } = native().describe();
  return { device: 'cpu', ...guarded(() => native().state()), instructionSets, hardwareThreads };
};

/**
 * Results do not depend on the number of threads. The start value is ALIGNLAB_THREADS, or all that the
 * machine has and a container is granted.
 */
export const setThreads = async (threads: number): Promise<void> => {
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `threads must be a whole number from 1 to 1024, got ${String(threads)}.`,
    );
  }
  await settle(guarded(() => native().setThreads(threads)));
};

/** Past this many bytes a call fails with OUT_OF_MEMORY; 0 lifts the limit. */
export const setMemoryLimit = (bytes: number): void => {
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `The memory limit must be a whole number of bytes, 0 for none, got ${String(bytes)}.`,
    );
  }
  native().setMemoryLimit(bytes);
};

export interface MachineLimits {
  /** Floating-point operations per second, all of the device, on registers alone. */
  readonly f32: number;
  readonly bf16: number;
  /** Bytes per second read from memory. */
  readonly bandwidth: number;
}

/** Measures for a second or two what a device can do at most: the ruler of the bench. */
export const measureLimits = async (device: Device = 'cpu'): Promise<MachineLimits> => {
  const number = deviceNumber(deviceName(device));
  return settle(guarded(() => native().measureLimits(number)));
};
