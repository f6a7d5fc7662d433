// Event files that TensorBoard reads, in tensorboard/ of the run folder: one for each session.
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fromSystem } from '../../errors.js';
import { type EventContent, encodeEvent, frameRecord } from './event.js';
import type { Tracker, TrackerContext } from './tracker.js';

const pattern = /^events\.out\.tfevents\.(\d+)\./;

/** Readers go through the files by name, so a session's must come after those before it. */
const createFile = async (folder: string, earlier: readonly string[]) => {
  const last = Math.max(-1, ...earlier.map((name) => Number(pattern.exec(name)?.[1])));
  const seconds = Math.max(Math.floor(Date.now() / 1000), last + 1);
  const number = String(seconds).padStart(10, '0');
  const path = join(folder, `events.out.tfevents.${number}.${hostname()}.${process.pid}.0`);
  return { file: await open(path, 'ax'), path };
};

class TensorBoard implements Tracker {
  readonly #file: FileHandle;
  readonly #path: string;

  constructor({ file, path }: { readonly file: FileHandle; readonly path: string }) {
    this.#file = file;
    this.#path = path;
  }

  async add(step: number, content: EventContent): Promise<void> {
    // The clock is for the horizontal axis of charts only.
    const record = frameRecord(encodeEvent(Date.now() / 1000, step, content));
    await this.#file.appendFile(record).catch((cause: unknown) => {
      throw fromSystem(cause, `write ${this.#path}`);
    });
  }

  async log(step: number, scalars: Readonly<Record<string, number>>): Promise<void> {
    await this.add(step, { kind: 'scalars', scalars });
  }

  async logText(name: string, text: string): Promise<void> {
    await this.add(0, { kind: 'text', name, text });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

export const openTensorBoard = async ({ folder, fromStep }: TrackerContext): Promise<Tracker> => {
  const target = join(folder, 'tensorboard');
  try {
    await mkdir(target, { recursive: true });
    const earlier = (await readdir(target)).filter((name) => pattern.test(name));
    const board = new TensorBoard(await createFile(target, earlier));
    await board.add(0, { kind: 'version' });
    const next = fromStep === 0 ? 0 : fromStep + 1; // step 0 is the evaluation before the first
    if (earlier.length > 0) await board.add(next, { kind: 'start' });
    return board;
  } catch (cause) {
    throw fromSystem(cause, `write to ${target}`);
  }
};
