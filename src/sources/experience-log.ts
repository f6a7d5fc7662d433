// The record of everything that was sampled: one line of JSON for each example, in an append-only
// file. A batch is one write and one fsync, so a crash loses at most its last batch, and the half
// line that it may leave is dropped when the file is opened again.
import { type FileHandle, open } from 'node:fs/promises';
import * as z from 'zod';
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { type Line, isGzip, readLines } from '../data/bytes.js';
import { AlignlabError, fromSystem } from '../errors.js';
import type { Example } from '../text/example.js';
import { type ExperienceRecord, decodeRecord, encodeRecord } from './experience-record.js';
import type { Source, SourceContext } from './source.js';
import { jsonState, readState } from './state.js';

const newline = 0x0a;

/** Offset behind the last whole line. */
const wholeLines = async (file: FileHandle, size: number): Promise<number> => {
  const chunk = Buffer.alloc(65536);
  for (let end = size; end > 0;) {
    const begin = Math.max(0, end - chunk.length);
    const { bytesRead } = await file.read(chunk, 0, end - begin, begin);
    const at = chunk.subarray(0, bytesRead).lastIndexOf(newline);
    if (at >= 0) return begin + at + 1;
    end = begin;
  }
  return 0;
};

export class ExperienceLog implements AsyncDisposable {
  readonly path: string;
  readonly #file: FileHandle;
  #offset: number;
  /** Bytes of the half line that a crash had left. */
  readonly droppedBytes: number;

  private constructor(path: string, file: FileHandle, offset: number, droppedBytes: number) {
    this.path = path;
    this.#file = file;
    this.#offset = offset;
    this.droppedBytes = droppedBytes;
  }

  /** Opens or creates; what follows the last whole line is cut off. Throws IO_FAILED. */
  static async open(path: string): Promise<ExperienceLog> {
    let file: FileHandle | undefined;
    try {
      file = await open(path, 'a+');
      const { size } = await file.stat();
      const whole = await wholeLines(file, size);
      if (whole < size) await file.truncate(whole);
      return new ExperienceLog(path, file, whole, size - whole);
    } catch (cause) {
      await file?.close();
      throw fromSystem(cause, `open the experience log ${path}`);
    }
  }

  /** Bytes of whole lines; what a checkpoint records. */
  get offset(): number {
    return this.#offset;
  }

  /** Appends lines durably: they are on disk, all of them, when this resolves. */
  async append(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    try {
      await this.#file.appendFile(bytes);
      await this.#file.datasync();
      this.#offset += bytes.length;
    } catch (cause) {
      // A part of the batch may be there; the next one must not follow it.
      await this.#file.truncate(this.#offset).catch(() => undefined);
      throw fromSystem(cause, `append to the experience log ${this.path}`);
    }
  }

  /** Forgets what was written after `offset`, a value of `offset` of before. Throws RUN_INVALID. */
  async truncate(offset: number): Promise<void> {
    const { size } = await this.#file.stat();
    const before = Buffer.alloc(1);
    if (offset > 0 && offset <= size) await this.#file.read(before, 0, 1, offset - 1);
    if (offset > size || (offset > 0 && before[0] !== newline)) {
      throw new AlignlabError(
        'RUN_INVALID',
        `The experience log ${this.path} has ${size} bytes and no line that ends at ${offset}, ` +
          'where the checkpoint was made. It is not the log of this run.',
      );
    }
    await this.#file.truncate(offset);
    await this.#file.datasync();
    this.#offset = offset;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const endsWithNewline = async (path: string): Promise<boolean> => {
  try {
    if (await isGzip(path)) return true; // compressed when it was complete
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const last = Buffer.alloc(1);
    if (size > 0) await file.read(last, 0, 1, size - 1);
    return last[0] === newline;
  } catch (cause) {
    throw fromSystem(cause, `read the experience log ${path}`);
  }
};

const decodeLine = (path: string, { text, number, problem }: Line): ExperienceRecord => {
  try {
    if (problem !== undefined) throw new SyntaxError(problem);
    return decodeRecord(text);
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw new AlignlabError(
      'DATA_INVALID',
      `${path}:${number} is no record of an experience log: ` +
        `${reason.replaceAll(/\s*\n\s*/g, ' ')}. Give the file that a run has written.`,
      { cause },
    );
  }
};

const maxLineBytes = 2 ** 28;

/**
 * Reads a log from the start. A half last line, as a crash leaves it, is left out. Throws
 * IO_FAILED, and DATA_INVALID, naming the line, for anything else that is no record.
 */
export async function* readExperience(path: string): AsyncGenerator<ExperienceRecord, void> {
  const isWhole = await endsWithNewline(path);
  let unread: Line | null = null;
  for await (const line of readLines(path, maxLineBytes)) {
    if (unread) yield decodeLine(path, unread);
    unread = line;
  }
  if (unread && isWhole) yield decodeLine(path, unread);
}

const recordingState = z.strictObject({
  source: jsonState,
  offset: z.int().min(0),
  batch: z.int().min(0),
});

/**
 * The source, with everything that it yields or drops written to the log, each take before it is
 * trained on. Restored to a checkpoint, it cuts the log back to where it was then.
 */
export const recording = (source: Source, log: ExperienceLog): Source => {
  let batch = 0;
  let restoreOffset: number | null = null;
  const take = async (count: number, context: SourceContext): Promise<readonly Example[]> => {
    if (restoreOffset !== null) {
      await log.truncate(restoreOffset);
      restoreOffset = null;
    }
    const dropped: Example[] = [];
    const examples = await source.take(count, {
      ...context,
      dropped: (example) => {
        dropped.push(example);
        context.dropped?.(example);
      },
    });
    const at = { step: context.step, batch };
    await log.append([
      ...examples.map((example, place) => encodeRecord(example, { ...at, place })),
      ...dropped.map((example) => encodeRecord(example, { ...at, place: null })),
    ]);
    if (examples.length > 0) batch += 1;
    return examples;
  };
  return {
    describe: (): JsonObject => source.describe(),
    take,
    state: (): JsonValue => ({
      source: source.state(),
      offset: restoreOffset ?? log.offset,
      batch,
    }),
    restore: (state) => {
      const saved = readState(recordingState, state, 'recording source');
      source.restore(saved.source);
      restoreOffset = saved.offset;
      batch = saved.batch;
    },
    ...forwarded(source),
  };
};

/** The optional parts of a source, as far as it has them. */
const forwarded = (source: Source): Partial<Source> => ({
  ...(source.save ? { save: (folder: string) => source.save!(folder) } : {}),
  ...(source.load ? { load: (folder: string) => source.load!(folder) } : {}),
  ...(source.metrics ? { metrics: () => source.metrics!() } : {}),
  ...(source.size === undefined ? {} : { size: source.size }),
  ...(source.dispose ? { dispose: () => source.dispose!() } : {}),
});
