// D4RL-format columns out of Parquet: a row is a transition, or an episode whose columns are lists.
import { type JsonObject, show } from '../../checkpoint/json.js';
import { readParquet } from '../../data/readers/parquet.js';
import { dataError, missingKey } from '../../data/row.js';
import type { RawColumns } from './hdf5.js';

interface Parts {
  readonly observations: number[];
  readonly actions: number[];
  readonly rewards: number[];
  readonly terminals: number[];
  readonly timeouts: number[];
  readonly next: number[];
}

const numbersInto = (into: number[], value: unknown, place: string): void => {
  if (Array.isArray(value)) {
    for (const item of value) numbersInto(into, item, place);
  } else if (typeof value === 'number' || typeof value === 'boolean') {
    into.push(Number(value));
  } else {
    throw dataError(place, `${show(value)} is no number`, 'Check that the file is complete.');
  }
};

const required = (row: JsonObject, name: string, place: string): unknown => {
  if (row[name] === undefined || row[name] === null) throw missingKey(place, name, row);
  return row[name];
};

const isEpisode = (row: JsonObject): boolean => Array.isArray(row.rewards);

const take = (parts: Parts, row: JsonObject, place: string): void => {
  const before = parts.rewards.length;
  numbersInto(parts.observations, required(row, 'observations', place), `${place}, observations`);
  numbersInto(parts.actions, required(row, 'actions', place), `${place}, actions`);
  numbersInto(parts.rewards, required(row, 'rewards', place), `${place}, rewards`);
  const ends = row.terminals ?? row.dones ?? required(row, 'terminals', place);
  numbersInto(parts.terminals, ends, `${place}, terminals`);
  if (row.next_observations !== undefined && row.next_observations !== null) {
    numbersInto(parts.next, row.next_observations, `${place}, next_observations`);
  }
  if (row.timeouts !== undefined && row.timeouts !== null) {
    numbersInto(parts.timeouts, row.timeouts, `${place}, timeouts`);
  } else if (isEpisode(row)) {
    // An episode ends with its row, whatever ended it.
    for (let i = before; i < parts.rewards.length; i += 1) {
      parts.timeouts.push(i === parts.rewards.length - 1 && parts.terminals[i] === 0 ? 1 : 0);
    }
  }
};

export const readParquetColumns = async (path: string): Promise<RawColumns> => {
  const parts: Parts = {
    observations: [],
    actions: [],
    rewards: [],
    terminals: [],
    timeouts: [],
    next: [],
  };
  for await (const row of readParquet(path, { maxRowBytes: 2 ** 28 })) {
    if ('error' in row) throw row.error;
    take(parts, row.value, row.place);
  }
  return {
    observations: Float32Array.from(parts.observations),
    actions: Float32Array.from(parts.actions),
    rewards: Float32Array.from(parts.rewards),
    terminals: Uint8Array.from(parts.terminals),
    ...(parts.timeouts.length > 0 ? { timeouts: Uint8Array.from(parts.timeouts) } : {}),
    ...(parts.next.length > 0 ? { nextObservations: Float32Array.from(parts.next) } : {}),
  };
};
