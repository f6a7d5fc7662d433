// A figure as the page takes it: drawn, described, with its numbers.
import { AlignlabError } from '../errors.js';

/** A table of what the figure shows, for figures/NAME.csv and NAME.json. */
export interface FigureData {
  readonly columns: readonly string[];
  /** Null where there is no value. */
  readonly rows: readonly (readonly (string | number | null)[])[];
}

export interface Figure {
  readonly name: string;
  readonly svg: string;
  /** The same for pages narrower than 640 pixels. */
  readonly narrow?: string;
  /** What the figure shows, for readers who do not see it; the svg has it as its label. */
  readonly alt: string;
  readonly data?: FigureData;
}

export const checkName = (name: string): string => {
  if (/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) return name;
  throw new AlignlabError(
    'OPTION_INVALID',
    `"${name}" cannot name a figure, because a file is called after it. Use lower case letters, ` +
      'digits and single hyphens, as in "fig-1-summarise".',
  );
};

/** A row must have a value, or null, for each column. */
export const checkData = (name: string, { columns, rows }: FigureData): void => {
  const odd = rows.findIndex((row) => row.length !== columns.length);
  if (odd >= 0) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `Row ${odd + 1} of the data of the figure "${name}" has ${rows[odd]!.length} values for ` +
        `${columns.length} columns.`,
    );
  }
  const value = rows.flat().find((each) => typeof each === 'number' && !Number.isFinite(each));
  if (value === undefined) return;
  throw new AlignlabError(
    'NON_FINITE',
    `The data of the figure "${name}" have ${String(value)} as a value. Write null for what was ` +
      'not measured.',
  );
};

const field = (value: string | number | null): string => {
  const text = value === null ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** RFC 4180 with '\n' as its line end. */
export const toCsv = ({ columns, rows }: FigureData): string =>
  [columns, ...rows].map((row) => `${row.map(field).join()}\n`).join('');
