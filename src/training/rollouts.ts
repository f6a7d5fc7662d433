// A batch of experience that several optimiser steps are made on: epochs over it, each in
// mini-batches (PPO's num_ppo_epochs and num_mini_batches, GRPO's num_iterations).
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { isObject } from '../checkpoint/json.js';
import { shuffled } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import { refuseUnknown, requireWhole } from '../options.js';
import type { Example, Response } from '../text/example.js';
import type { Experience, Known } from './rows.js';

export interface RolloutOptions {
  /** Passes over each batch of samples. Default 1. */
  readonly epochs?: number;
  /** Optimiser steps of one pass; a batch has this many times `batchSize` examples. Default 1. */
  readonly miniBatches?: number;
}

export interface Rollout {
  readonly experiences: readonly Experience[];
  /** Optimiser steps made when it was taken. */
  readonly takenAt: number;
  /** Steps made on it so far. */
  readonly used: number;
  /** What the source said of it: the metrics of each of its steps. */
  readonly metrics: Readonly<Record<string, number>>;
}

export type Reuse = Required<RolloutOptions>;

export const checkRollouts = (options: RolloutOptions): Reuse => {
  const { epochs = 1, miniBatches = 1 } = options;
  refuseUnknown('rollouts', options, { epochs: true, miniBatches: true });
  requireWhole('rollouts.epochs', epochs);
  requireWhole('rollouts.miniBatches', miniBatches);
  return { epochs, miniBatches };
};

const sizeOf = ({ experiences }: Rollout, { miniBatches }: Reuse): number =>
  Math.max(1, Math.ceil(experiences.length / miniBatches));

/** Mini-batches of an epoch: a short batch at the end of the data may fill fewer than asked for. */
const partsOf = (rollout: Rollout, reuse: Reuse): number =>
  Math.ceil(rollout.experiences.length / sizeOf(rollout, reuse));

/** The next mini-batch. Each epoch has its own order; an undivided batch keeps the source's. */
export const miniBatchOf = (
  rollout: Rollout,
  reuse: Reuse,
  seed: number,
): readonly Experience[] => {
  const { experiences, takenAt, used } = rollout;
  if (reuse.miniBatches === 1) return experiences;
  const parts = partsOf(rollout, reuse);
  const order = shuffled(experiences, seed, 'mini-batch', takenAt, Math.floor(used / parts));
  const size = sizeOf(rollout, reuse);
  const first = (used % parts) * size;
  return order.slice(first, first + size);
};

export const isUsedUp = (rollout: Rollout, reuse: Reuse): boolean =>
  rollout.used >= reuse.epochs * partsOf(rollout, reuse);

const encode = (array: Int32Array | Float32Array): string =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('base64');

const bytes = (text: JsonValue | undefined): ArrayBuffer => {
  if (typeof text !== 'string') throw damaged();
  return new Uint8Array(Buffer.from(text, 'base64')).buffer;
};

const damaged = (): AlignlabError =>
  new AlignlabError(
    'CHECKPOINT_INVALID',
    'The state of the run holds a rollout that cannot be read. Resume from an older checkpoint.',
  );

type Fields = Readonly<Record<string, JsonValue>>;

/** Keys whose values are Float32Arrays; everything else in the records is JSON already. */
const arrays = new Set(['behaviour', 'reference', 'oldValues', 'advantages', 'returns']);

const toFields = (record: Response | Known): Fields =>
  Object.fromEntries(
    Object.entries(record).flatMap(([key, value]: [string, unknown]) => {
      if (value === undefined) return [];
      if (value instanceof Int32Array || value instanceof Float32Array) {
        return [[key, encode(value)]];
      }
      return [[key, value as JsonValue]];
    }),
  );

const fromFields = (fields: JsonValue): Record<string, unknown> => {
  if (!isObject(fields)) throw damaged();
  const decoded = (key: string, value: JsonValue): unknown => {
    if (key === 'tokens' || key === 'uncut') return new Int32Array(bytes(value));
    return arrays.has(key) ? new Float32Array(bytes(value)) : value;
  };
  const entries = Object.entries(fields as Fields);
  return Object.fromEntries(entries.map(([key, value]) => [key, decoded(key, value)] as const));
};

/** Only what training reads: a sampled example's provenance is in the log. */
const toJson = ({ example, known }: Experience): JsonValue => {
  const { kind, prompt, responses, label = null, margin = null, origin } = example;
  return {
    kind,
    origin,
    label,
    margin,
    prompt: encode(prompt),
    responses: responses.map(toFields),
    known: known.map(toFields),
  };
};

const fromJson = (value: JsonValue): Experience => {
  if (!isObject(value)) throw damaged();
  const { kind, origin, prompt, responses, known, label, margin } = value as Fields;
  if (!Array.isArray(responses) || !Array.isArray(known)) throw damaged();
  const example = {
    kind: kind as Example['kind'],
    origin: origin as string,
    prompt: new Int32Array(bytes(prompt)),
    responses: responses.map(fromFields) as unknown as Response[],
    ...(typeof label === 'boolean' ? { label } : {}),
    ...(typeof margin === 'number' ? { margin } : {}),
  };
  return { example, known: known.map(fromFields) };
};

/** A rollout that is under way, for a checkpoint. */
export const rolloutToJson = ({ experiences, takenAt, used, metrics }: Rollout): JsonValue => ({
  takenAt,
  used,
  // As text, since a mean over nothing is NaN, which JSON has not.
  metrics: Object.fromEntries(Object.entries(metrics).map(([name, x]) => [name, String(x)])),
  experiences: experiences.map(toJson),
});

export const rolloutFromJson = (value: JsonValue): Rollout => {
  if (!isObject(value)) throw damaged();
  const { takenAt, used, experiences, metrics } = value as JsonObject;
  const counts = typeof takenAt === 'number' && typeof used === 'number';
  if (!counts || !isObject(metrics) || !Array.isArray(experiences)) throw damaged();
  return {
    takenAt,
    used,
    experiences: (experiences as JsonValue[]).map(fromJson),
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, x]) => [name, Number(x)])),
  };
};
