// A dataset: records that can be read any number of times, in the same order each time, without being
// held in memory, with what is known about them for the manifest.
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import type { TextRecord } from '../text/example.js';
import { listHash } from './content-hash.js';
import { type Format, detectFormat, formatNamed, parseFormat } from './formats/index.js';
import { type Row, dataError, missingKey } from './row.js';

export interface DataCounts {
  /** Rows read, bad ones included. */
  readonly rows: number;
  /** Records made of them: a row may give none or several. */
  readonly records: number;
  /** Pairs left out since their labels call them equal, and since they have no label. */
  readonly ties: number;
  readonly unlabelled: number;
  /** Bad rows left out (onBadRow: 'skip'), and why the first of them were. */
  readonly skipped: number;
  readonly reasons: readonly string[];
}

export interface Dataset extends AsyncIterable<TextRecord> {
  readonly kind: TextRecord['kind'];
  /** Records of one pass, where that is known without a pass. */
  readonly size?: number;
  /** What the latest pass has met so far. */
  counts(): DataCounts;
  /** For the manifest: everything that decides the records, the hashes of files included. */
  describe(): JsonObject;
  toArray(): Promise<TextRecord[]>;
}

export const collected = async (records: AsyncIterable<TextRecord>): Promise<TextRecord[]> => {
  const list: TextRecord[] = [];
  for await (const record of records) list.push(record);
  return list;
};

/** A dataset that is made of others by a function of their records. */
export const derived = (
  bases: readonly Dataset[],
  made: {
    readonly kind?: TextRecord['kind'];
    readonly size?: number | undefined;
    readonly description: JsonObject;
    iterate(): AsyncGenerator<TextRecord, void, undefined>;
  },
): Dataset => {
  const { size, description } = made;
  const self: Dataset = {
    kind: made.kind ?? bases[0]!.kind,
    ...(size === undefined ? {} : { size }),
    counts: () => summed(bases.map((base) => base.counts())),
    describe: () => ({ ...description, of: bases.map((base) => base.describe()) }),
    toArray: () => collected(self),
    [Symbol.asyncIterator]: () => made.iterate(),
  };
  return self;
};

const reasonsKept = 5;
const none: DataCounts = {
  rows: 0,
  records: 0,
  ties: 0,
  unlabelled: 0,
  skipped: 0,
  reasons: [],
};

const summed = (all: readonly DataCounts[]): DataCounts =>
  all.reduce(
    (sum, counts) => ({
      rows: sum.rows + counts.rows,
      records: sum.records + counts.records,
      ties: sum.ties + counts.ties,
      unlabelled: sum.unlabelled + counts.unlabelled,
      skipped: sum.skipped + counts.skipped,
      reasons: [...sum.reasons, ...counts.reasons].slice(0, reasonsKept),
    }),
    none,
  );

/**
 * Records that are in memory already. The origins must tell them apart.
 * @param made what the manifest says about how they were made
 */
export const datasetOf = (
  records: readonly TextRecord[],
  name = 'memory',
  made: JsonObject = {},
): Dataset => {
  const kind = records[0]?.kind;
  if (kind === undefined) {
    throw new AlignlabError('DATA_INVALID', `The dataset "${name}" has no records.`);
  }
  const other = records.find((record) => record.kind !== kind);
  if (other) {
    throw new AlignlabError(
      'DATA_INVALID',
      `${other.origin}: the record is of kind "${other.kind}", but the first one of "${name}" is ` +
        `"${kind}". Put each kind into a dataset of its own.`,
    );
  }
  const self: Dataset = {
    kind,
    size: records.length,
    counts: () => ({ ...none, rows: records.length, records: records.length }),
    describe: () => ({
      name,
      kind,
      sha256: listHash(records.map((record) => JSON.stringify(record))),
      ...made,
    }),
    toArray: () => Promise.resolve([...records]),
    // eslint-disable-next-line @typescript-eslint/require-await -- the interface is asynchronous
    async *[Symbol.asyncIterator]() {
      yield* records;
    },
  };
  return self;
};

export interface RowOptions {
  /** A name of `formatNames`; without it the format is found by the keys of the first good row. */
  readonly format?: string | undefined;
  /** Key that a format knows → column of the file; '' leaves the column of that name out. */
  readonly columns?: Readonly<Record<string, string>> | undefined;
  /** Plain texts become turns of user and assistant, for chat templates. Default false. */
  readonly conversational?: boolean | undefined;
  /** Default 'error'. */
  readonly onBadRow?: 'error' | 'skip' | undefined;
}

const mapped = (
  place: string,
  value: JsonObject,
  columns: Readonly<Record<string, string>>,
): JsonObject => {
  const result: Record<string, unknown> = { ...value };
  const sources = new Set(Object.values(columns));
  for (const source of sources) {
    if (source === '') continue;
    if (!(source in value)) throw missingKey(place, source, value);
    if (!(source in columns)) Reflect.deleteProperty(result, source);
  }
  for (const [target, source] of Object.entries(columns)) {
    if (source === '') Reflect.deleteProperty(result, target);
    else result[target] = value[source];
  }
  return result;
};

type Pass = { -readonly [Key in keyof DataCounts]: DataCounts[Key] };

/** Rows of any origin as a dataset: maps columns, finds the format, parses, counts. */
export class RowDataset implements Dataset {
  readonly kind: TextRecord['kind'];
  readonly #format: Format;
  #counts: Pass = { ...none };

  private constructor(
    private readonly name: string,
    private readonly rows: () => AsyncIterable<Row>,
    private readonly options: RowOptions,
    private readonly description: JsonObject,
    format: Format,
  ) {
    this.#format = format;
    this.kind = format.kind;
  }

  /** Reads rows until one tells the format. */
  static async open(
    name: string,
    rows: () => AsyncIterable<Row>,
    options: RowOptions,
    description: JsonObject,
  ): Promise<RowDataset> {
    const { format, columns = {}, onBadRow = 'error' } = options;
    if (format !== undefined) {
      return new RowDataset(name, rows, options, description, formatNamed(format));
    }
    let first: AlignlabError | undefined;
    for await (const row of rows()) {
      try {
        if ('error' in row) throw row.error;
        const found = detectFormat({ ...row, value: mapped(row.place, row.value, columns) });
        return new RowDataset(name, rows, options, description, found);
      } catch (error) {
        if (!(error instanceof AlignlabError) || onBadRow === 'error') throw error;
        first ??= error;
      }
    }
    throw first ?? dataError(name, 'it has no rows', 'Check that it is the file you mean.');
  }

  counts(): DataCounts {
    return { ...this.#counts };
  }

  describe(): JsonObject {
    const { columns = {}, conversational = false, onBadRow = 'error' } = this.options;
    const { name: format, kind } = this.#format;
    return { ...this.description, format, kind, columns, conversational, onBadRow };
  }

  toArray(): Promise<TextRecord[]> {
    return collected(this);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TextRecord, void, undefined> {
    const pass: Pass = { ...none };
    this.#counts = pass;
    for await (const row of this.rows()) {
      ++pass.rows;
      yield* this.#recordsOf(row, pass);
    }
    if (pass.records > 0) return;
    const { rows, ties, unlabelled, skipped, reasons } = pass;
    throw dataError(
      this.name,
      `none of its ${rows} rows gave a record (${ties} ties, ${unlabelled} without a label, ` +
        `${skipped} bad)`,
      reasons[0] === undefined ? 'Check that it is the file you mean.' : `First: ${reasons[0]}`,
    );
  }

  #recordsOf(row: Row, pass: Pass): readonly TextRecord[] {
    const { columns = {}, conversational = false, onBadRow = 'error' } = this.options;
    try {
      if ('error' in row) throw row.error;
      const { place } = row;
      const value = mapped(place, row.value, columns);
      const parsed = parseFormat({ place, value }, { format: this.#format, conversational });
      const { drafts, ties = 0, unlabelled = 0 } = parsed;
      pass.ties += ties;
      pass.unlabelled += unlabelled;
      pass.records += drafts.length;
      return drafts.map((draft, i) => ({
        ...draft,
        origin: drafts.length === 1 ? place : `${place}#${i + 1}`,
      }));
    } catch (error) {
      if (!(error instanceof AlignlabError) || onBadRow === 'error') throw error;
      ++pass.skipped;
      if (pass.reasons.length < reasonsKept) pass.reasons = [...pass.reasons, error.message];
      return [];
    }
  }
}

/** Rows that are in memory, of any known format: [{prompt, chosen, rejected}, …]. */
export const openRows = (
  rows: readonly JsonObject[],
  options: RowOptions & { readonly name?: string } = {},
): Promise<Dataset> => {
  const { name = 'rows' } = options;
  // eslint-disable-next-line @typescript-eslint/require-await -- the interface is asynchronous
  const iterate = async function* (): AsyncGenerator<Row, void, undefined> {
    for (const [i, value] of rows.entries()) yield { place: `${name}[${i}]`, value };
  };
  const description = { name, sha256: listHash(rows.map((row) => JSON.stringify(row))) };
  return RowDataset.open(name, iterate, options, description);
};
