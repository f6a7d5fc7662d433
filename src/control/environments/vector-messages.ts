// What passes between a vectorised environment and its worker threads. Numbers lie in shared memory;
// messages only say whose turn it is, so there is no moment at which both sides write.
import type { DynamicsGap, EnvId, EnvOptions, EnvSpec } from './environment.js';

export interface SharedArrays {
  /** [n, actDim], written by the caller. */
  readonly actions: Float32Array;
  /** [n, obsDim]: what to act on next; the first observation of an episode after its end. */
  readonly observations: Float32Array;
  /** [n, obsDim]: what the step led to, also where an episode ended. */
  readonly nextObservations: Float32Array;
  readonly rewards: Float64Array;
  readonly terminated: Uint8Array;
  readonly truncated: Uint8Array;
}

export interface Share {
  /** Instances `from` to `to` - 1 are this worker's. */
  readonly from: number;
  readonly to: number;
  readonly id: EnvId;
  readonly options: EnvOptions;
  readonly seeds: readonly bigint[];
  readonly arrays: SharedArrays;
}

export type Request =
  | { readonly kind: 'reset' }
  | { readonly kind: 'step' }
  | { readonly kind: 'setGap'; readonly index: number; readonly gap: DynamicsGap }
  | { readonly kind: 'getState'; readonly index: number }
  | { readonly kind: 'setState'; readonly index: number; readonly state: Float64Array };

export type Reply =
  | { readonly kind: 'ready'; readonly spec: EnvSpec }
  | { readonly kind: 'done'; readonly state?: Float64Array }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

export const sharedArrays = (n: number, obsDim: number, actDim: number): SharedArrays => {
  const floats = (count: number): Float32Array =>
    new Float32Array(new SharedArrayBuffer(4 * count));
  const bytes = (): Uint8Array => new Uint8Array(new SharedArrayBuffer(n));
  return {
    actions: floats(n * actDim),
    observations: floats(n * obsDim),
    nextObservations: floats(n * obsDim),
    rewards: new Float64Array(new SharedArrayBuffer(8 * n)),
    terminated: bytes(),
    truncated: bytes(),
  };
};
