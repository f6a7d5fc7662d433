// How the command line prints: tables, sizes, errors.
import { AlignlabError } from '../errors.js';

/** Columns padded to their widest cell; numbers are given as text already. */
export const table = (rows: readonly (readonly string[])[], indent = ''): string => {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    indent + row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
};

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export const bytes = (count: number): string => {
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10));
  const value = count / 1024 ** power;
  return `${power === 0 ? String(value) : value.toPrecision(3)} ${units[power] ?? ''}`;
};

export const count = (n: number): string => n.toLocaleString('en-US');

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** Notes and progress: not part of what a program reads from standard output. */
export const note = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

export const printError = (error: unknown): void => {
  if (error instanceof AlignlabError) {
    note(`error ${error.code}: ${error.message}`);
    return;
  }
  note(error instanceof Error ? (error.stack ?? error.message) : String(error));
};

/** The value of a numeric flag; commander shows the message and ends with a usage error. */
export const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new AlignlabError('OPTION_INVALID', `A number was expected, got "${text}".`);
};

/** The checkpoint may be given as the argument or by --model. */
export const checkpointFolder = (argument: string | undefined, option?: string): string => {
  const given = argument ?? option;
  if (given !== undefined && (argument === undefined || option === undefined)) return given;
  throw new AlignlabError(
    'OPTION_INVALID',
    'Give the folder of one Hugging Face checkpoint, as the argument or by --model.',
  );
};

/** Prints a text that grows token by token; a token may be half a character, which waits. */
export class GrowingText {
  #printed = 0;
  readonly #tokens: number[] = [];
  readonly #decode: (tokens: Int32Array) => string;

  constructor(decode: (tokens: Int32Array) => string) {
    this.#decode = decode;
  }

  push(token: number): void {
    this.#tokens.push(token);
    this.#show((text) => text.replace(/\uFFFD+$/u, ''));
  }

  /** Prints what was still waiting; returns the whole text. */
  end(): string {
    return this.#show((text) => text);
  }

  #show(settledOf: (text: string) => string): string {
    const settled = settledOf(this.#decode(Int32Array.from(this.#tokens)));
    if (settled.length > this.#printed) {
      process.stdout.write(settled.slice(this.#printed));
      this.#printed = settled.length;
    }
    return settled;
  }
}
