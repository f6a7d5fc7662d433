// Walks through a stream that can be opened again, for data larger than memory. Where it stands is
// the number of items given in this epoch; a restored cursor reads past as many.
import * as z from 'zod';
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { random } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import type { Cursor, LastBatch } from './cursor.js';
import { readState, requireWholeOrEndless } from './state.js';

export interface StreamOptions<T> {
  readonly open: () => AsyncIterable<T>;
  readonly order: 'sequential' | 'shuffled';
  readonly seed: number | bigint;
  readonly epochs: number;
  readonly lastBatch: LastBatch;
  readonly shuffleBuffer: number | undefined;
}

const streamState = z.strictObject({ epoch: z.int().min(0), index: z.int().min(0) });

const defaultBuffer = 1024;

/** Each item leaves a buffer of `size` from a random place, which the next one takes. */
async function* bufferShuffle<T>(
  items: AsyncIterable<T>,
  size: number,
  seed: number | bigint,
  epoch: number,
): AsyncGenerator<T, void> {
  const draws = random(seed, 'buffer', epoch);
  const buffer: T[] = [];
  for await (const item of items) {
    if (buffer.length < size) {
      buffer.push(item);
      continue;
    }
    const place = draws.below(size);
    const chosen = buffer[place]!;
    buffer[place] = item;
    yield chosen;
  }
  while (buffer.length > 0) {
    const place = draws.below(buffer.length);
    const chosen = buffer[place]!;
    const last = buffer.pop()!;
    if (place < buffer.length) buffer[place] = last;
    yield chosen;
  }
}

export class StreamCursor<T> implements Cursor<T> {
  readonly #options: StreamOptions<T>;
  readonly #buffer: number;
  #epoch = 0;
  #index = 0;
  #open: AsyncIterator<T> | null = null;

  constructor(options: StreamOptions<T>) {
    this.#options = options;
    this.#buffer = options.shuffleBuffer ?? defaultBuffer;
    requireWholeOrEndless('shuffleBuffer', this.#buffer);
    if (options.order === 'shuffled' || options.shuffleBuffer === undefined) return;
    throw new AlignlabError(
      'OPTION_INVALID',
      "shuffleBuffer acts with order 'shuffled' only. Leave one of them out.",
    );
  }

  async take(count: number, signal?: AbortSignal): Promise<T[]> {
    const [epoch, index] = [this.#epoch, this.#index];
    try {
      return await this.#take(count, signal);
    } catch (error) {
      // A take that failed took nothing.
      [this.#epoch, this.#index] = [epoch, index];
      await this.#close().catch(() => undefined);
      throw error;
    }
  }

  state(): JsonValue {
    return { epoch: this.#epoch, index: this.#index };
  }

  restore(state: JsonValue): void {
    const { epoch, index } = readState(streamState, state, 'data cursor');
    // Nothing that was opened is left, even where closing it fails.
    void this.#close().catch(() => undefined);
    [this.#epoch, this.#index] = [epoch, index];
  }

  describe(): JsonObject {
    const { epochs, lastBatch, order } = this.#options;
    return {
      size: 'stream',
      epochs: epochs === Infinity ? 'endless' : epochs,
      lastBatch,
      ...(order === 'shuffled' ? { shuffleBuffer: this.#buffer } : {}),
    };
  }

  async dispose(): Promise<void> {
    await this.#close();
  }

  async #take(count: number, signal: AbortSignal | undefined): Promise<T[]> {
    const { epochs, lastBatch } = this.#options;
    let taken: T[] = [];
    while (taken.length < count && this.#epoch < epochs) {
      signal?.throwIfAborted();
      this.#open ??= await this.#openAt(this.#index, signal);
      const next = await this.#open.next();
      if (!next.done) {
        taken.push(next.value);
        this.#index += 1;
        continue;
      }
      this.#endEpoch(count);
      if (lastBatch === 'drop') taken = [];
      if (lastBatch === 'short' && taken.length > 0) break;
    }
    return taken;
  }

  #endEpoch(count: number): void {
    const enough = this.#options.lastBatch === 'drop' ? count : 1;
    if (this.#index < enough) {
      throw new AlignlabError(
        'DATA_INVALID',
        `The data stream ended after ${this.#index} items; at least ${enough} are needed.`,
      );
    }
    this.#open = null;
    [this.#epoch, this.#index] = [this.#epoch + 1, 0];
  }

  async #openAt(index: number, signal: AbortSignal | undefined): Promise<AsyncIterator<T>> {
    const { open, order, seed } = this.#options;
    const items = open();
    const ordered =
      order === 'shuffled' ? bufferShuffle(items, this.#buffer, seed, this.#epoch) : items;
    const iterator = ordered[Symbol.asyncIterator]();
    for (let passed = 0; passed < index; ++passed) {
      signal?.throwIfAborted();
      if (!(await iterator.next()).done) continue;
      throw new AlignlabError(
        'RUN_INVALID',
        `The run was at item ${index} of the data stream, which now ends after ${passed}. ` +
          'Resume with the data that the run was started with.',
      );
    }
    return iterator;
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    await open?.return?.();
  }
}
