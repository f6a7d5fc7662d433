// Trains on the recorded experience of another run: in its order, which reproduces the run bit for
// bit; shuffled within windows; or shuffled as a whole (Tang et al. 2024, section 5.1, appendix G).
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { fileHash } from '../data/content-hash.js';
import { permutation } from '../data/random.js';
import { windowPermutation } from '../data/windows.js';
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown } from '../options.js';
import type { Example, Response } from '../text/example.js';
import { ListCursor } from './cursor.js';
import { readExperience } from './experience-log.js';
import type { Source, SourceContext } from './source.js';
import { requireChoice, requireWholeOrEndless } from './state.js';

export interface ReplayOptions {
  /** The log that `recording` wrote. */
  readonly log: string;
  /**
   * recorded: batch by batch as they were taken. windows: shuffled among `window` consecutive
   * batches. shuffled: all of them, uniformly. Default 'recorded'.
   */
  readonly order?: 'recorded' | 'windows' | 'shuffled';
  /** Batches of a window. */
  readonly window?: number;
  /** Default 0. */
  readonly seed?: number | bigint;
  /** Passes over the log. Default 1. */
  readonly epochs?: number;
  /**
   * Take over the log-probabilities under the reference of the recorded run, instead of having
   * them computed anew. Right only for the same reference. Default false.
   */
  readonly recordedReference?: boolean;
}

interface Recorded {
  readonly examples: readonly Example[];
  /** Ends of the batches, as places in the list. */
  readonly ends: readonly number[];
}

const withoutReference = (example: Example): Example => ({
  ...example,
  responses: example.responses.map(({ reference: _, ...response }): Response => response),
});

const readBatches = async (log: string, keepReference: boolean): Promise<Recorded> => {
  const examples: Example[] = [];
  const ends: number[] = [];
  let batch: number | null = null;
  for await (const record of readExperience(log)) {
    if (record.place === null) continue;
    if (batch !== null && record.batch !== batch) ends.push(examples.length);
    batch = record.batch;
    examples.push(keepReference ? record.example : withoutReference(record.example));
  }
  if (examples.length === 0) {
    throw new AlignlabError('DATA_INVALID', `${log} holds no sample to train on.`);
  }
  return { examples, ends: [...ends, examples.length] };
};

const known: OptionNames<ReplayOptions> = {
  log: true,
  order: true,
  window: true,
  seed: true,
  epochs: true,
  recordedReference: true,
};

const checkOptions = (options: ReplayOptions): void => {
  const { order = 'recorded', window, epochs = 1 } = options;
  refuseUnknown('replay', options, known);
  requireChoice('order', order, ['recorded', 'windows', 'shuffled']);
  requireWholeOrEndless('epochs', epochs);
  if (window !== undefined) requireWholeOrEndless('window', window);
  if ((order === 'windows') === (window !== undefined && window !== Infinity)) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    "window, a number of batches, and order 'windows' go together. Give both or neither.",
  );
};

class ReplaySource implements Source {
  readonly size: number;
  readonly #cursor: ListCursor<Example>;
  readonly #description: JsonObject;

  constructor(options: ReplayOptions, { examples, ends }: Recorded, hash: string) {
    const { order = 'recorded', window = 1, seed = 0, epochs = 1 } = options;
    const inOrder = Uint32Array.from(examples.keys());
    this.size = examples.length;
    this.#cursor = new ListCursor({
      items: examples,
      epochs,
      lastBatch: 'short',
      ...(order === 'recorded' ? { stops: ends } : {}),
      orderOf: (epoch) => {
        if (order === 'recorded') return inOrder;
        return order === 'windows'
          ? windowPermutation(ends, window, seed, epoch)
          : permutation(examples.length, seed, 'replay', epoch);
      },
    });
    this.#description = {
      source: 'replay',
      log: { hash, batches: ends.length },
      order,
      ...(order === 'windows' ? { window } : {}),
      ...(order === 'recorded' ? {} : { seed: String(seed) }),
      ...(options.recordedReference ? { recordedReference: true } : {}),
      ...this.#cursor.describe(),
    };
  }

  describe(): JsonObject {
    return this.#description;
  }

  take(count: number, { signal }: SourceContext): Promise<readonly Example[]> {
    return this.#cursor.take(count, signal);
  }

  state(): JsonValue {
    return this.#cursor.state();
  }

  restore(state: JsonValue): void {
    this.#cursor.restore(state);
  }
}

/**
 * Reads a log into memory; samples that were not delivered are left out. In the recorded order no
 * take goes past the end of a recorded batch, so that the same `count` gives the same batches.
 * Throws IO_FAILED, DATA_INVALID.
 */
export const replay = async (options: ReplayOptions): Promise<Source> => {
  checkOptions(options);
  const recorded = await readBatches(options.log, options.recordedReference ?? false);
  return new ReplaySource(options, recorded, await fileHash(options.log));
};
