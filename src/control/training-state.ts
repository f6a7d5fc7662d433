// A training's state as bytes: SHA-256, then the structured clone of its parts.
import { createHash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { AlignlabError } from '../errors.js';
import type { RolloutState } from './member-rollout.js';
import type { TrainingEvaluation } from './train.js';

export interface TrainingState {
  readonly step: number;
  readonly learner: Uint8Array;
  /** Of each member; empty without a simulator. */
  readonly rollouts: readonly RolloutState[];
  readonly curve: readonly TrainingEvaluation[];
  /** Metrics times updates since the last evaluation, and these updates. */
  readonly sums: readonly Readonly<Record<string, number>>[];
  readonly updates: number;
}

const format = 1;
const hashBytes = 32;

const hashOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

export const packState = (state: TrainingState): Uint8Array => {
  const body = serialize({ format, ...state });
  return Buffer.concat([hashOf(body), body]);
};

/** @throws DATA_INVALID for bytes that `packState` did not write */
export const unpackState = (bytes: Uint8Array): TrainingState => {
  const body = bytes.subarray(hashBytes);
  if (bytes.length > hashBytes && hashOf(body).equals(bytes.subarray(0, hashBytes))) {
    const state = deserialize(body) as TrainingState & { readonly format: number };
    if (state.format === format) return state;
  }
  throw new AlignlabError(
    'DATA_INVALID',
    'These bytes are no state of a training, or they are damaged. Take an earlier state, or begin ' +
      'the training again.',
  );
};
