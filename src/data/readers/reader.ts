// What a reader of a file type is: rows in their order; bad rows are yielded, not thrown.
import type { Row } from '../row.js';

export interface ReaderOptions {
  /** The longest line, record or list element. */
  readonly maxRowBytes: number;
}

/** @throws DATA_INVALID where the file as a whole cannot be read; IO_FAILED. */
export type Reader = (path: string, options: ReaderOptions) => AsyncIterable<Row>;
