// Transitions in columns, as learners read them: row i of each belongs to transition i.
import { permutation } from '../../data/random.js';
import { AlignlabError } from '../../errors.js';
import { requireWhole } from '../../options.js';

export interface TransitionColumns {
  /** [n, obsDim] */
  readonly obs: Float32Array;
  /** [n, actDim], in [-1, 1] */
  readonly act: Float32Array;
  /** [n] */
  readonly rew: Float32Array;
  /** [n, obsDim] */
  readonly next: Float32Array;
  /** [n], 1 where the task ended: no value beyond. */
  readonly done: Uint8Array;
  /** [n], 1 where only the time was up. The last transition of a cut-off episode has neither. */
  readonly truncated: Uint8Array;
  readonly n: number;
}

type MutableColumns = { -readonly [Name in keyof TransitionColumns]: TransitionColumns[Name] };

const allocate = (n: number, obsDim: number, actDim: number): MutableColumns => ({
  obs: new Float32Array(n * obsDim),
  act: new Float32Array(n * actDim),
  rew: new Float32Array(n),
  next: new Float32Array(n * obsDim),
  done: new Uint8Array(n),
  truncated: new Uint8Array(n),
  n,
});

/** Rows `from` to `to` - 1, copied. */
export const sliceColumns = (
  columns: TransitionColumns,
  from: number,
  to: number,
): TransitionColumns => {
  const width = (array: Float32Array): number => array.length / columns.n;
  const rows = (array: Float32Array): Float32Array =>
    array.slice(from * width(array), to * width(array));
  return {
    obs: rows(columns.obs),
    act: rows(columns.act),
    rew: rows(columns.rew),
    next: rows(columns.next),
    done: columns.done.slice(from, to),
    truncated: columns.truncated.slice(from, to),
    n: to - from,
  };
};

/** A random subset of so many transitions, in their order, as the size of the real data is studied. */
export const sampleColumns = (
  columns: TransitionColumns,
  count: number,
  seed: number | bigint,
): TransitionColumns => {
  requireWhole('The size of a subset', count);
  if (count > columns.n) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `A subset of ${count} transitions was asked for; there are ${columns.n}.`,
    );
  }
  const chosen = permutation(columns.n, seed, 'subset of transitions').subarray(0, count).sort();
  const floats = (array: Float32Array): Float32Array => {
    const width = array.length / columns.n;
    const taken = new Float32Array(count * width);
    chosen.forEach((row, i) => {
      taken.set(array.subarray(row * width, (row + 1) * width), i * width);
    });
    return taken;
  };
  const bytes = (array: Uint8Array): Uint8Array => Uint8Array.from(chosen, (row) => array[row]!);
  return {
    obs: floats(columns.obs),
    act: floats(columns.act),
    rew: floats(columns.rew),
    next: floats(columns.next),
    done: bytes(columns.done),
    truncated: bytes(columns.truncated),
    n: count,
  };
};

/** One after the other. Both have the same dimensions. */
export const joinColumns = (a: TransitionColumns, b: TransitionColumns): TransitionColumns => {
  const floats = (x: Float32Array, y: Float32Array): Float32Array => {
    const joined = new Float32Array(x.length + y.length);
    joined.set(x);
    joined.set(y, x.length);
    return joined;
  };
  const bytes = (x: Uint8Array, y: Uint8Array): Uint8Array => {
    const joined = new Uint8Array(x.length + y.length);
    joined.set(x);
    joined.set(y, x.length);
    return joined;
  };
  return {
    obs: floats(a.obs, b.obs),
    act: floats(a.act, b.act),
    rew: floats(a.rew, b.rew),
    next: floats(a.next, b.next),
    done: bytes(a.done, b.done),
    truncated: bytes(a.truncated, b.truncated),
    n: a.n + b.n,
  };
};

/** A place to collect transitions in; it grows as needed. */
export class TransitionLog {
  #columns: MutableColumns;
  #size = 0;

  constructor(
    readonly obsDim: number,
    readonly actDim: number,
    capacity = 4096,
  ) {
    this.#columns = allocate(Math.max(1, capacity), obsDim, actDim);
  }

  get size(): number {
    return this.#size;
  }

  push(
    obs: Float32Array,
    act: Float32Array,
    reward: number,
    next: Float32Array,
    terminated: boolean,
    truncated: boolean,
  ): void {
    if (this.#size === this.#columns.n) this.#grow();
    const row = this.#size;
    this.#columns.obs.set(obs, row * this.obsDim);
    this.#columns.act.set(act, row * this.actDim);
    this.#columns.rew[row] = reward;
    this.#columns.next.set(next, row * this.obsDim);
    this.#columns.done[row] = terminated ? 1 : 0;
    this.#columns.truncated[row] = truncated ? 1 : 0;
    this.#size += 1;
  }

  #grow(): void {
    const old = this.#columns;
    const wider = allocate(2 * old.n, this.obsDim, this.actDim);
    wider.obs.set(old.obs);
    wider.act.set(old.act);
    wider.rew.set(old.rew);
    wider.next.set(old.next);
    wider.done.set(old.done);
    wider.truncated.set(old.truncated);
    this.#columns = wider;
  }

  /** What was collected so far, copied. */
  columns(): TransitionColumns {
    return sliceColumns(this.#columns, 0, this.#size);
  }
}

/**
 * Refuses columns that no learner could use, naming row and column.
 * @throws DATA_INVALID
 */
export const checkColumns = (
  columns: TransitionColumns,
  obsDim: number,
  actDim: number,
  place: string,
): void => {
  const { n } = columns;
  const widths = { obs: obsDim, act: actDim, rew: 1, next: obsDim, done: 1, truncated: 1 } as const;
  if (n < 1) throw new AlignlabError('DATA_INVALID', `${place} holds no transitions.`);
  for (const [name, width] of Object.entries(widths) as [keyof typeof widths, number][]) {
    const column = columns[name];
    if (column.length !== n * width) {
      throw new AlignlabError(
        'DATA_INVALID',
        `${place}: the column ${name} has ${column.length} numbers, but ${n} transitions of ` +
          `width ${width} have ${n * width}. Make or fetch the dataset again.`,
      );
    }
    const bad = column.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) continue;
    throw new AlignlabError(
      'DATA_INVALID',
      `${place}: the column ${name} holds ${column[bad]!} in transition ${Math.floor(bad / width)}` +
        '. Remove that episode, or make the dataset again.',
    );
  }
};
