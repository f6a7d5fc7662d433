// A dataset as a source: offline training.
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { contentHash } from '../data/content-hash.js';
import { AlignlabError } from '../errors.js';
import { refuseUnknown } from '../options.js';
import type { Example } from '../text/example.js';
import {
  type Cursor,
  type CursorOptions,
  type Items,
  cursorOptions,
  makeCursor,
} from './cursor.js';
import type { Source, SourceContext } from './source.js';

export interface DatasetOptions extends CursorOptions {
  readonly examples: Items<Example>;
  /** Of the data, for the manifest: a file, a dataset. */
  readonly name?: string;
}

/** Of everything that training reads. One by one: a set has more rows than a call takes arguments. */
export const examplesHash = (examples: readonly Example[]): string => {
  const hashes = examples.map((example) => {
    const { kind, prompt, responses, label = null, margin = null, weight, gap } = example;
    // Nothing is added where there is no trust: hashes of such data stay what they were.
    const trust = weight === undefined && gap === undefined ? [] : [weight ?? null, gap ?? null];
    return contentHash(
      kind,
      prompt,
      label,
      margin,
      ...responses.map(({ tokens }) => tokens),
      ...trust,
    );
  });
  return contentHash(hashes.join());
};

class DatasetSource implements Source {
  readonly #options: DatasetOptions;
  readonly #kinds: readonly Example['kind'][];
  readonly #cursor: Cursor<Example>;

  constructor(options: DatasetOptions, kinds: readonly Example['kind'][]) {
    refuseUnknown('A dataset source', options, { ...cursorOptions, examples: true, name: true });
    this.#options = options;
    this.#kinds = kinds;
    if (typeof options.examples !== 'function') this.#check(options.examples);
    this.#cursor = makeCursor(options.examples, { ...options, defaultLastBatch: 'short' });
    if (this.#cursor.size !== undefined) this.size = this.#cursor.size;
  }

  readonly size?: number;
  #hash: string | null = null;

  describe(): JsonObject {
    const { examples, name, order = 'sequential', seed = 0 } = this.#options;
    return {
      source: 'dataset',
      ...(name === undefined ? {} : { name }),
      order,
      ...(order === 'shuffled' ? { seed: String(seed) } : {}),
      ...this.#cursor.describe(),
      ...(typeof examples === 'function' ? {} : { hash: (this.#hash ??= examplesHash(examples)) }),
    };
  }

  async take(count: number, { signal }: SourceContext): Promise<readonly Example[]> {
    const taken = await this.#cursor.take(count, signal);
    if (typeof this.#options.examples === 'function') this.#check(taken);
    return taken;
  }

  state(): JsonValue {
    return this.#cursor.state();
  }

  restore(state: JsonValue): void {
    this.#cursor.restore(state);
  }

  dispose(): Promise<void> {
    return this.#cursor.dispose();
  }

  #check(examples: readonly Example[]): void {
    const wrong = examples.find(({ kind }) => !this.#kinds.includes(kind));
    if (!wrong) return;
    throw new AlignlabError(
      'DATA_INVALID',
      `${wrong.origin} is an example of the kind "${wrong.kind}", and this source gives ` +
        `${this.#kinds.join(' and ')}. Check the format of the data.`,
    );
  }
}

/**
 * Examples of a list, or of a stream that `examples` opens anew for each epoch. Shuffled lists get
 * a new order each epoch, a function of (seed, epoch); streams are shuffled through a buffer.
 */
export const datasetSource = (options: DatasetOptions): Source =>
  new DatasetSource(options, ['pair', 'completion', 'group']);

/** As datasetSource, for preference pairs and nothing else. */
export const datasetPairs = (options: DatasetOptions): Source =>
  new DatasetSource(options, ['pair']);
