// A study: stages whose results are kept in a folder under a hash of everything that decides them, so
// that nothing is computed twice and a study that was killed goes on where it was.
//
//   FOLDER/stages/NAME-KEY/stage.json   settings, inputs, result      (and what the stage wrote beside)
//   FOLDER/result.json, report.html …   written by the study from its stages
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import PQueue from 'p-queue';
import { type JsonObject, type JsonValue, readJsonFile } from '../checkpoint/json.js';
import { saveFolder } from '../checkpoint/save.js';
import { engineInfo } from '../engine/device.js';
import { AlignlabError, fromSystem } from '../errors.js';
import { writeWhole } from '../training/files.js';
import { exactJson } from '../training/json-text.js';
import { lockFolder } from '../training/lock.js';
import { packageVersion } from '../version.js';

/** What a stage returns: finite numbers, texts, lists, objects. */
export type StageResult = Readonly<Record<string, unknown>>;

export interface Artefact<Result extends StageResult = StageResult> {
  readonly name: string;
  /** SHA-256 of what decides the result. */
  readonly key: string;
  /** Where the stage's files are. */
  readonly folder: string;
  readonly result: Result;
}

export interface StageContext {
  /** Empty; what is written here is kept with the result. */
  readonly folder: string;
  readonly signal?: AbortSignal;
  /** Tells how far the stage is. */
  readonly tick: (done: number, of: number) => void;
}

export interface Stage<Result extends StageResult> {
  readonly name: string;
  /** Everything that decides the result besides the inputs. */
  readonly settings: JsonObject;
  readonly inputs?: readonly Artefact[];
  /**
   * About how long it takes, and what waits for it, against the study's other stages: where several
   * could run, the heaviest does first, so that no long one is left for the end. Default 0.
   */
  readonly weight?: number;
  run(context: StageContext): Promise<Result>;
}

export interface StageEvent {
  readonly stage: string;
  /** Of the stage: names are for people. */
  readonly key: string;
  readonly kind: 'started' | 'progress' | 'finished' | 'reused';
  readonly done?: number;
  readonly of?: number;
}

/**
 * Lets a stage run when its turn has come, by calling `run`; or waits until another thread has it
 * finished, without calling.
 */
export type StageGate = (stage: StageTurn, run: () => Promise<void>) => Promise<void>;

export interface StageTurn {
  readonly key: string;
  readonly name: string;
  readonly weight: number;
}

export interface StudyOptions {
  /** Go on with what the folder holds. Default false: a folder with stages is refused. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: StageEvent) => void;
  /** Default: one stage after the other. */
  readonly gate?: StageGate;
}

/** What makes stages: a study, or a plan of one. */
export interface Stages {
  /** The stage's result: as kept under its key, or by running it. */
  stage<Result extends StageResult>(stage: Stage<Result>): Promise<Artefact<Result>>;
}

const stagesName = 'stages';
const formatVersion = 1;
const unfinished = /^\..*\.saving-/;

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');

const exact = (value: unknown, place: string): string => exactJson(value as JsonValue, place);

const slug = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^[-.]+|-+$/g, '');

/** Of the version and of the instruction set, on which the last bits of results depend. */
const keyOf = ({ name, settings, inputs = [] }: Stage<StageResult>): string =>
  hash(
    exact(
      {
        format: formatVersion,
        version: packageVersion,
        instructionSet: engineInfo().instructionSet,
        name,
        settings,
        inputs: inputs.map(({ key }) => key),
      },
      `settings of the stage "${name}"`,
    ),
  );

const namesIn = async (folder: string): Promise<string[]> => {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw fromSystem(cause, `read ${folder}`);
  }
};

const readResult = async (folder: string, key: string): Promise<StageResult | null> => {
  const path = join(folder, 'stage.json');
  const file = await readJsonFile(path, 'RUN_INVALID');
  if (!file) return null;
  const { result, resultHash } = file.value;
  const whole = file.value.key === key && hash(exact(result, path)) === resultHash;
  if (whole) return result as StageResult;
  throw new AlignlabError(
    'RUN_INVALID',
    `${path} is not what its stage wrote. Remove the folder ${folder}, and the stage runs again.`,
  );
};

export const abortedError = (): AlignlabError =>
  new AlignlabError(
    'ABORTED',
    'The study was aborted; the stages that were finished are kept. Go on with --resume.',
  );

const oneAtATime = (): StageGate => {
  const queue = new PQueue({ concurrency: 1 });
  return (_stage, run) => queue.add(run);
};

/** Of the stage that runs: what it needs is among its inputs, and not asked for on the way. */
const running = new AsyncLocalStorage<string>();

const checkNotInside = (name: string): void => {
  const outer = running.getStore();
  if (outer === undefined) return;
  throw new AlignlabError(
    'INTERNAL',
    `The stage "${outer}" asked for "${name}" while it ran. Make that one first, and state it ` +
      'among the inputs.',
  );
};

export class Study implements Stages, AsyncDisposable {
  readonly folder: string;
  readonly #options: StudyOptions;
  readonly #gate: StageGate;
  readonly #unlock: () => Promise<void>;
  readonly #artefacts = new Map<string, Promise<Artefact>>();
  #computed = 0;

  private constructor(folder: string, options: StudyOptions, unlock: () => Promise<void>) {
    this.folder = folder;
    this.#options = options;
    this.#gate = options.gate ?? oneAtATime();
    this.#unlock = unlock;
  }

  /** Locks the folder. Throws RUN_INVALID where it is in use, or holds stages and `resume` is false. */
  static async open(path: string, options: StudyOptions = {}): Promise<Study> {
    const folder = resolve(path);
    const stages = join(folder, stagesName);
    if (!options.resume && (await namesIn(stages)).length > 0) {
      throw new AlignlabError(
        'RUN_INVALID',
        `${folder} holds a study already. Go on with it by --resume (resume: true), which takes ` +
          'what it has that is still right, or give another folder.',
      );
    }
    await mkdir(stages, { recursive: true }).catch((cause: unknown) => {
      throw fromSystem(cause, `make the folder ${stages}`);
    });
    const unlock = await lockFolder(folder);
    for (const name of await namesIn(stages)) {
      if (unfinished.test(name)) await rm(join(stages, name), { recursive: true, force: true });
    }
    return new Study(folder, options, unlock);
  }

  /** Another thread's view of a study that is open: its gate keeps the threads apart. */
  static join(folder: string, options: StudyOptions & { readonly gate: StageGate }): Study {
    return new Study(resolve(folder), options, () => Promise.resolve());
  }

  /** Stages that were run, and not found in the folder. */
  get computed(): number {
    return this.#computed;
  }

  get signal(): AbortSignal | undefined {
    return this.#options.signal;
  }

  async stage<Result extends StageResult>(stage: Stage<Result>): Promise<Artefact<Result>> {
    checkNotInside(stage.name);
    const key = keyOf(stage);
    let artefact = this.#artefacts.get(key);
    if (!artefact) {
      artefact = this.#make(stage, key);
      this.#artefacts.set(key, artefact);
      artefact.catch(() => this.#artefacts.delete(key)); // it may be asked for again
    }
    return artefact as Promise<Artefact<Result>>;
  }

  /** Replaces a file of the study at once. */
  async write(name: string, text: string): Promise<void> {
    await writeWhole(join(this.folder, name), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#unlock();
  }

  async #make(stage: Stage<StageResult>, key: string): Promise<Artefact> {
    const { name, weight = 0 } = stage;
    const folder = join(this.folder, stagesName, `${slug(name)}-${key.slice(0, 12)}`);
    const kept = await readResult(folder, key);
    if (!kept) await this.#gate({ key, name, weight }, () => this.#run(stage, key, folder));
    const result = kept ?? (await readResult(folder, key));
    if (!result) throw new AlignlabError('INTERNAL', `The stage "${name}" left no result.`);
    if (kept) this.#options.onEvent?.({ stage: name, key, kind: 'reused' });
    return { name, key, folder, result };
  }

  async #run(stage: Stage<StageResult>, key: string, folder: string): Promise<void> {
    const { name, settings, inputs = [] } = stage;
    const { signal, onEvent } = this.#options;
    this.#checkAbort();
    onEvent?.({ stage: name, key, kind: 'started' });
    await saveFolder(folder, async (temporary) => {
      const context: StageContext = {
        folder: temporary,
        ...(signal ? { signal } : {}),
        tick: (done, of) => onEvent?.({ stage: name, key, kind: 'progress', done, of }),
      };
      const result = await running.run(name, () => stage.run(context));
      this.#checkAbort();
      const text = exact(result, `result of the stage "${name}"`);
      const stated = { format: formatVersion, version: packageVersion, name, key, settings };
      const used = inputs.map((input) => ({ name: input.name, key: input.key }));
      const head = exact({ ...stated, inputs: used }, `stage "${name}"`).slice(0, -1);
      await writeWhole(
        join(temporary, 'stage.json'),
        `${head},"resultHash":"${hash(text)}","result":${text}}\n`,
      );
    });
    this.#computed += 1;
    onEvent?.({ stage: name, key, kind: 'finished' });
  }

  #checkAbort(): void {
    if (this.#options.signal?.aborted) throw abortedError();
  }
}

/** Counts the stages that something would ask for, and runs none: all results are empty. */
export class StagePlan implements Stages {
  readonly #keys = new Set<string>();

  get size(): number {
    return this.#keys.size;
  }

  stage<Result extends StageResult>(stage: Stage<Result>): Promise<Artefact<Result>> {
    const key = keyOf(stage);
    this.#keys.add(key);
    return Promise.resolve({ name: stage.name, key, folder: '', result: {} as Result });
  }
}
