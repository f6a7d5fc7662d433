// Parts and orders of a dataset. Each decision is a function of a seed and of the row's number, so
// that it does not depend on memory, batch size or what else is drawn.
import { AlignlabError } from '../errors.js';
import type { TextRecord } from '../text/example.js';
import { type Dataset, derived } from './dataset.js';
import { permutation, random, uniform } from './random.js';

const optionError = (message: string): AlignlabError =>
  new AlignlabError('OPTION_INVALID', message);

const checkedCount = (name: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw optionError(`${name} must be a whole number from 0, got ${value}.`);
};

export const countRecords = async (dataset: Dataset): Promise<number> => {
  if (dataset.size !== undefined) return dataset.size;
  let count = 0;
  for await (const _ of dataset) ++count;
  return count;
};

/** The records from number `skip` on, at most `limit` of them. */
export const slice = (
  dataset: Dataset,
  { skip = 0, limit = Infinity }: { skip?: number | undefined; limit?: number | undefined },
): Dataset => {
  checkedCount('skip', skip);
  if (limit !== Infinity) checkedCount('limit', limit);
  const { size } = dataset;
  return derived([dataset], {
    description: { skip, ...(limit === Infinity ? {} : { limit }) },
    size: size === undefined ? undefined : Math.min(Math.max(size - skip, 0), limit),
    async *iterate() {
      let [passed, given] = [0, 0];
      if (given >= limit) return;
      for await (const record of dataset) {
        if (passed++ < skip) continue;
        yield record;
        if (++given >= limit) return;
      }
    },
  });
};

/** Records of one row of a file ('a.jsonl:3#1', 'a.jsonl:3#2') stay together when data is divided. */
const rowOf = (origin: string): string | undefined => /^(.*)#[\w-]+$/s.exec(origin)?.[1];

async function* byRow(
  dataset: Dataset,
): AsyncGenerator<{ record: TextRecord; row: number }, void, undefined> {
  let [row, last] = [-1, undefined as string | undefined];
  for await (const record of dataset) {
    const current = rowOf(record.origin);
    if (current === undefined || current !== last) ++row;
    last = current;
    yield { record, row };
  }
}

const countRows = async (dataset: Dataset): Promise<number> => {
  let count = 0;
  for await (const { row } of byRow(dataset)) count = row + 1;
  return count;
};

/** A fraction between 0 and 1, or a whole number of rows from 1. */
export type Share = number;

const checkedShare = (name: string, share: Share): Share => {
  if (Number.isFinite(share) && share > 0 && (share < 1 || Number.isInteger(share))) return share;
  throw optionError(
    `${name} must be a fraction between 0 and 1 or a whole number of rows, got ${share}.`,
  );
};

/**
 * Which rows are taken. A fraction takes each row with that probability; a number takes exactly
 * that many, each set of them as likely (Knuth, The Art of Computer Programming 3.4.2, algorithm S).
 */
const picker = (share: Share, rows: number, seed: number | bigint, purpose: string) => {
  let [taken, last, take] = [0, -1, false];
  return (row: number): boolean => {
    if (row === last) return take;
    last = row;
    const draw = uniform(seed, purpose, row);
    take = share < 1 ? draw < share : draw * (rows - row) < share - taken;
    if (take) ++taken;
    return take;
  };
};

const rowsFor = async (dataset: Dataset, share: Share, name: string): Promise<number> => {
  if (share < 1) return 0;
  const rows = await countRows(dataset);
  if (share <= rows) return rows;
  throw new AlignlabError(
    'DATA_INVALID',
    `${name} asks for ${share} rows, but there are ${rows}. Ask for fewer, or for a fraction.`,
  );
};

/** A random part, in the order of the whole. A whole number costs a pass that counts the rows. */
export const subsample = async (
  dataset: Dataset,
  { share, seed }: { readonly share: Share; readonly seed: number | bigint },
): Promise<Dataset> => {
  const rows = await rowsFor(dataset, checkedShare('subsample', share), 'subsample');
  return derived([dataset], {
    description: { subsample: share, seed: String(seed) },
    async *iterate() {
      const picks = picker(share, rows, seed, 'subsample');
      for await (const { record, row } of byRow(dataset)) if (picks(row)) yield record;
    },
  });
};

export interface SplitOptions {
  /** Share of the test part. */
  readonly test: Share;
  readonly seed: number | bigint;
  /**
   * 'prompt' puts all records of a prompt on the same side, wherever they stand (fractions only).
   * Default 'row'.
   */
  readonly by?: 'row' | 'prompt' | undefined;
}

const promptOf = (record: TextRecord): string => {
  const prompt = record.kind === 'text' ? record.text : record.prompt;
  return typeof prompt === 'string' ? prompt : JSON.stringify(prompt);
};

/** Train and test parts: together the whole, and without a common row. */
export const split = async (
  dataset: Dataset,
  { test, seed, by = 'row' }: SplitOptions,
): Promise<{ readonly train: Dataset; readonly test: Dataset }> => {
  checkedShare('test', test);
  if (by === 'prompt' && test >= 1) {
    throw optionError(
      `A split by prompt needs a fraction, got test: ${test}. Pass a fraction, or by: 'row'.`,
    );
  }
  const rows = await rowsFor(dataset, test, 'test');
  if (test >= 1 && test === rows) {
    throw optionError(`test: ${test} leaves no rows for training. Ask for fewer.`);
  }
  const part = (side: 'train' | 'test'): Dataset =>
    derived([dataset], {
      description: { split: side, test, seed: String(seed), by },
      async *iterate() {
        const picks = picker(test, rows, seed, 'split');
        for await (const { record, row } of byRow(dataset)) {
          const inTest =
            by === 'row' ? picks(row) : uniform(seed, 'split', promptOf(record)) < test;
          if (inTest === (side === 'test')) yield record;
        }
      },
    });
  return { train: part('train'), test: part('test') };
};

export interface ShuffleOptions {
  readonly seed: number | bigint;
  readonly epoch?: number | undefined;
  /** Records held while streaming; without it all are held, and every order is as likely. */
  readonly buffer?: number | undefined;
}

/** Random order. With a buffer of B, no record comes more than B places before its place in the file. */
export const shuffle = (dataset: Dataset, { seed, epoch = 0, buffer }: ShuffleOptions): Dataset => {
  if (buffer !== undefined && checkedCount('buffer', buffer) < 2) {
    throw optionError(`buffer must be at least 2 records, got ${buffer}.`);
  }
  return derived([dataset], {
    size: dataset.size,
    description: {
      shuffle: { seed: String(seed), epoch, ...(buffer === undefined ? {} : { buffer }) },
    },
    async *iterate() {
      if (buffer === undefined) {
        const records = await dataset.toArray();
        for (const i of permutation(records.length, seed, 'shuffle', epoch)) yield records[i]!;
        return;
      }
      const held: TextRecord[] = [];
      const stream = random(seed, 'shuffle', epoch);
      const draw = (): TextRecord => {
        const chosen = stream.below(held.length);
        const record = held[chosen]!;
        held[chosen] = held.at(-1)!;
        held.pop();
        return record;
      };
      for await (const record of dataset) {
        held.push(record);
        if (held.length === buffer) yield draw();
      }
      while (held.length > 0) yield draw();
    },
  });
};
