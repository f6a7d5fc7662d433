// What a format is: how rows of one shape, as they circulate, become records.
import type { JsonObject } from '../../checkpoint/json.js';
import type { TextRecord } from '../../text/example.js';

type WithoutOrigin<T> = T extends unknown ? Omit<T, 'origin'> : never;

/** A record that does not say yet where it came from. */
export type Draft = WithoutOrigin<TextRecord>;

export interface FormatRow {
  readonly place: string;
  readonly value: JsonObject;
}

export interface ParsedRow {
  readonly drafts: readonly Draft[];
  /** Pairs that the labels call equal: left out. */
  readonly ties?: number;
  /** Pairs without a label: left out. */
  readonly unlabelled?: number;
}

export interface Format {
  readonly name: string;
  readonly kind: TextRecord['kind'];
  /** One line: the keys, and where the format is used. */
  readonly about: string;
  /** Do the keys (and the types of values) of a row speak for this format? */
  matches(value: JsonObject): boolean;
  /** @throws DATA_INVALID with the place of the row. */
  parse(row: FormatRow): ParsedRow;
}
