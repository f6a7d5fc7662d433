// manifest.json: what a run was, so that it can be told apart from another and done again. It holds
// no times and no paths of its own: two runs that differ in one thing have manifests that do.
import { join } from 'node:path';
import { type JsonObject, readJsonFile } from '../checkpoint/json.js';
import { cudaInfo, engineInfo } from '../engine/device.js';
import { AlignlabError } from '../errors.js';
import { packageVersion } from '../version.js';
import { writeWhole } from './files.js';
import { asWritten, differences, toJsonText } from './json-text.js';
import type { Where } from './run.js';

export const manifestName = 'manifest.json';

/** Of manifest.json and trainer_state.json; raised when an older reader would misread them. */
export const formatVersion = 1;

/**
 * Where a part of the run was computed. Bit-equality is promised on one instruction set, or one GPU's
 * architecture.
 */
export interface Session extends Where {
  /** Optimiser steps made before it began: 0, or the checkpoint that it went on from. */
  readonly fromStep: number;
  /** Hash of the state that it went on from; absent at the start. */
  readonly stateHash?: string;
  readonly alignlab: string;
  readonly node: string;
  readonly platform: string;
  /** Name and compute capability, where the policy is on one. */
  readonly gpu?: string;
  readonly instructionSet: string;
  readonly threads: number;
}

export interface Manifest {
  readonly format: number;
  readonly status: 'running' | 'completed' | 'stopped';
  /** Steps made, once the run has ended. */
  readonly steps?: number;
  /** What the trainer says: seeds, conventions, data, source, objective, optimiser. */
  readonly run: JsonObject;
  readonly sessions: readonly Session[];
}

const gpuOf = (device: string): { gpu?: string } => {
  const number = /^cuda:(\d+)$/.exec(device)?.[1];
  const found = number === undefined ? undefined : cudaInfo().devices[Number(number)];
  return found ? { gpu: `${found.name}, ${found.capability}` } : {};
};

export const describeSession = (
  { device, exact }: Where,
  fromStep: number,
  stateHash?: string,
): Session => {
  const { instructionSet, threads } = engineInfo();
  return {
    fromStep,
    ...(stateHash === undefined ? {} : { stateHash }),
    alignlab: packageVersion,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    device,
    exact,
    ...gpuOf(device),
    instructionSet,
    threads,
  };
};

export const readManifest = async (folder: string): Promise<Manifest | null> => {
  const path = join(folder, manifestName);
  const file = await readJsonFile(path, 'RUN_INVALID');
  if (!file) return null;
  if (file.value.format !== formatVersion) {
    throw new AlignlabError(
      'RUN_INVALID',
      `${path} has format ${String(file.value.format)}; this version of alignlab reads ` +
        `${formatVersion}. Use the version that wrote it.`,
    );
  }
  return file.value as unknown as Manifest;
};

export const writeManifest = async (folder: string, manifest: Manifest): Promise<void> => {
  await writeWhole(join(folder, manifestName), `${toJsonText(manifest, 2)}\n`);
};

/** Refuses to go on with a run that another trainer, source, objective or data set began. */
export const checkSameRun = (folder: string, before: JsonObject, now: JsonObject): void => {
  const [first, ...others] = differences(before, asWritten(now));
  if (first === undefined) return;
  const more = others.length > 0 ? ` (and ${others.length} more: ${others.join(', ')})` : '';
  throw new AlignlabError(
    'RUN_INVALID',
    `${folder} holds a run whose manifest differs at "${first}"${more}: resuming would join two ` +
      'runs. Resume with the settings and data that it began with, or start in another folder.',
  );
};
