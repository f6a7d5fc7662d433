// CSV and TSV with a header line, read as a stream. Cells are text; a cell that holds a JSON list of
// objects, as conversations are written, is parsed.
import { Readable, pipeline } from 'node:stream';
import { CsvError, type InfoRecord, parse } from 'csv-parse';
import type { JsonObject } from '../../checkpoint/json.js';
import { AlignlabError } from '../../errors.js';
import { readLines } from '../bytes.js';
import { dataError, type Row } from '../row.js';
import type { ReaderOptions } from './reader.js';

async function* linesOf(path: string, limit: number): AsyncGenerator<string, void, undefined> {
  for await (const { number, text, problem } of readLines(path, limit)) {
    // A line may be the middle of a quoted cell, so that it cannot be left out alone.
    if (problem !== undefined) {
      throw dataError(`${path}:${number}`, problem, 'Correct the line, or write the file anew.');
    }
    yield `${text}\n`;
  }
}

const cellValue = (place: string, column: string, cell: string): unknown => {
  if (!/^\s*\[\s*\{\s*["'](role|from|content|value)["']/.test(cell)) return cell;
  try {
    return JSON.parse(cell) as unknown;
  } catch (cause) {
    throw new AlignlabError(
      'DATA_INVALID',
      `${place}: "${column}" looks like a list of messages but is not JSON (Python's notation ` +
        'with single quotes is not). Write such cells with json.dumps.',
      { cause },
    );
  }
};

const checkedHeader = (path: string, header: readonly string[], delimiter: string): void => {
  const repeated = header.find((name, i) => name !== '' && header.indexOf(name) < i);
  if (repeated !== undefined) {
    throw dataError(path, `the header has the column "${repeated}" twice`, 'Rename one of them.');
  }
  const other = [';', '\t', '|', ','].find((sign) => sign !== delimiter);
  if (header.length === 1 && /[;\t|]/.test(header[0]!) && other !== undefined) {
    throw dataError(
      path,
      `the header ${JSON.stringify(header[0])} is a single column`,
      'Cells are separated by commas in .csv and by tabs in .tsv files; rename or rewrite it.',
    );
  }
};

const rowOf = (place: string, header: readonly string[], cells: readonly string[]): Row => {
  try {
    if (cells.length !== header.length) {
      const found = `there are ${cells.length} cells where the header has ${header.length}`;
      throw dataError(place, found, 'Quote cells that hold commas, quotes or line ends.');
    }
    const value: Record<string, unknown> = {};
    // A column without a name is the index that pandas writes.
    header.forEach((name, i) => {
      if (name !== '') value[name] = cellValue(place, name, cells[i]!);
    });
    return { place, value: value satisfies JsonObject };
  } catch (error) {
    if (error instanceof AlignlabError) return { place, error };
    throw error;
  }
};

const parseFailure = (cause: unknown, path: string): unknown => {
  if (!(cause instanceof CsvError)) return cause;
  return dataError(path, `it is not valid CSV (${cause.message})`, 'Write the file anew.');
};

export const csvReader = (delimiter: ',' | '\t') =>
  async function* readCsv(
    path: string,
    { maxRowBytes }: ReaderOptions,
  ): AsyncGenerator<Row, void, undefined> {
    const parser = parse({
      delimiter,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: maxRowBytes,
    });
    pipeline(Readable.from(linesOf(path, maxRowBytes)), parser, () => {
      // Errors reach the reader of the parser.
    });
    let header: readonly string[] | undefined;
    let line = 1; // of the row's start: rows may span lines
    try {
      for await (const item of parser) {
        const { record, info } = item as { record: string[]; info: InfoRecord };
        if (header) yield rowOf(`${path}:${line}`, header, record);
        else checkedHeader(path, (header = record), delimiter);
        line = info.lines + 1;
      }
    } catch (cause) {
      throw parseFailure(cause, path);
    } finally {
      parser.destroy();
    }
  };
