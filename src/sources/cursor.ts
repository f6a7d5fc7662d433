// Walks through data epoch by epoch; where it stands is two numbers. Datasets, prompts and replays
// use it.
import * as z from 'zod';
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { permutation } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import { type OptionNames } from '../options.js';
import { StreamCursor } from './stream-cursor.js';
import { readState, requireChoice, requireWholeOrEndless } from './state.js';

/** Data that can be read again from the start: a list, or what opens a stream of it. */
export type Items<T> = readonly T[] | (() => AsyncIterable<T>);

/**
 * What a take does at the end of an epoch. short: stops there, as TRL does, so that an epoch has
 * ceil(items / count) batches. across: goes on with the next epoch. drop: leaves out a last part
 * that is smaller than `count`.
 */
export type LastBatch = 'short' | 'across' | 'drop';

export interface CursorOptions {
  /** Default 'sequential'. */
  readonly order?: 'sequential' | 'shuffled';
  /** Default 0. */
  readonly seed?: number | bigint;
  /** Passes over the data; default without end. */
  readonly epochs?: number;
  readonly lastBatch?: LastBatch;
  /** Items among which a shuffled stream draws the next one. Default 1024. */
  readonly shuffleBuffer?: number;
}

export const cursorOptions: OptionNames<CursorOptions> = {
  order: true,
  seed: true,
  epochs: true,
  lastBatch: true,
  shuffleBuffer: true,
};

export interface Cursor<T> {
  /** `count` items, fewer where `lastBatch` says so, none when all epochs are over. */
  take(count: number, signal?: AbortSignal): Promise<T[]>;
  state(): JsonValue;
  restore(state: JsonValue): void;
  describe(): JsonObject;
  readonly size?: number;
  dispose(): Promise<void>;
}

const listState = z.strictObject({
  epoch: z.int().min(0),
  index: z.int().min(0),
  size: z.int().min(1),
});

export interface ListOptions<T> {
  readonly items: readonly T[];
  /** Indices of the items in the order of an epoch. */
  readonly orderOf: (epoch: number) => Uint32Array;
  readonly epochs: number;
  readonly lastBatch: LastBatch;
  /** Places of an epoch, ascending, past which no take goes. */
  readonly stops?: readonly number[];
}

/** Over a list. Epoch e's order is a function of e, so a cursor restored to (e, i) goes on exactly. */
export class ListCursor<T> implements Cursor<T> {
  readonly size: number;
  readonly #options: ListOptions<T>;
  #epoch = 0;
  #index = 0;
  #order: { readonly epoch: number; readonly indices: Uint32Array } | null = null;

  constructor(options: ListOptions<T>) {
    this.#options = options;
    this.size = options.items.length;
    if (this.size > 0) return;
    throw new AlignlabError('DATA_INVALID', 'The data is empty: there is nothing to train on.');
  }

  take(count: number, signal?: AbortSignal): Promise<T[]> {
    signal?.throwIfAborted();
    const { items, epochs, lastBatch } = this.#options;
    this.#skipPart(count);
    const taken: T[] = [];
    while (taken.length < count && this.#epoch < epochs) {
      const stop = this.#nextStop();
      const end = Math.min(stop, this.#index + count - taken.length);
      for (const item of this.#indices().subarray(this.#index, end)) taken.push(items[item]!);
      this.#index = end;
      if (end === this.size) [this.#epoch, this.#index] = [this.#epoch + 1, 0];
      if (end === stop && lastBatch !== 'across') break;
    }
    return Promise.resolve(taken);
  }

  state(): JsonValue {
    return { epoch: this.#epoch, index: this.#index, size: this.size };
  }

  restore(state: JsonValue): void {
    const { epoch, index, size } = readState(listState, state, 'data cursor');
    if (size !== this.size || index >= size) {
      throw new AlignlabError(
        'RUN_INVALID',
        `The run was at item ${index} of ${size}; now the data has ${this.size} items. ` +
          'Resume with the data that the run was started with.',
      );
    }
    [this.#epoch, this.#index] = [epoch, index];
  }

  describe(): JsonObject {
    const { epochs, lastBatch } = this.#options;
    return { size: this.size, epochs: epochs === Infinity ? 'endless' : epochs, lastBatch };
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  #indices(): Uint32Array {
    if (this.#order?.epoch !== this.#epoch) {
      this.#order = { epoch: this.#epoch, indices: this.#options.orderOf(this.#epoch) };
    }
    return this.#order.indices;
  }

  #nextStop(): number {
    return this.#options.stops?.find((place) => place > this.#index) ?? this.size;
  }

  #skipPart(count: number): void {
    if (this.#options.lastBatch !== 'drop') return;
    if (count > this.size) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `lastBatch 'drop' drops everything: a batch has ${count} items, the data ${this.size}.`,
      );
    }
    if (this.#index + count > this.size) [this.#epoch, this.#index] = [this.#epoch + 1, 0];
  }
}

export const makeCursor = <T>(
  items: Items<T>,
  options: CursorOptions & { readonly defaultLastBatch: LastBatch },
): Cursor<T> => {
  const { order = 'sequential', seed = 0, epochs = Infinity, shuffleBuffer } = options;
  const lastBatch = options.lastBatch ?? options.defaultLastBatch;
  requireChoice('order', order, ['sequential', 'shuffled']);
  requireChoice('lastBatch', lastBatch, ['short', 'across', 'drop']);
  requireWholeOrEndless('epochs', epochs);
  if (typeof items === 'function') {
    return new StreamCursor({ open: items, order, seed, epochs, lastBatch, shuffleBuffer });
  }
  if (shuffleBuffer !== undefined) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'shuffleBuffer is for streams; a list is shuffled as a whole. Leave it out.',
    );
  }
  const inOrder = Uint32Array.from(items.keys());
  const orderOf = (epoch: number): Uint32Array =>
    order === 'sequential' ? inOrder : permutation(items.length, seed, 'order', epoch);
  return new ListCursor({ items, orderOf, epochs, lastBatch });
};
