// A run folder: everything that a run leaves, laid out so that people, reports and a resumed run find
// it again.
//
//   config.yaml         the resolved configuration      manifest.json   what the run was (manifest.ts)
//   metrics.jsonl       a line for each step and for each evaluation, no clock in it
//   completions.jsonl   sampled experience, written by the sources' log
//   tensorboard/        event files                     checkpoint-N/   (checkpoint.ts)
import { type FileHandle, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError, fromSystem } from '../errors.js';
import {
  type StoredCheckpoint,
  pruneCheckpoints,
  restoreCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
import { durableSize } from './files.js';
import { toJsonText } from './json-text.js';
import { lockFolder } from './lock.js';
import {
  type Manifest,
  checkSameRun,
  describeSession,
  formatVersion,
  writeManifest,
} from './manifest.js';
import {
  type OpenedFolder,
  type RunFolderOptions,
  completionsName,
  logNames,
  metricsName,
  namesIn,
  openingOf,
  prepareFolder,
} from './open-folder.js';
import type { CheckpointParts, Recorder, TrainState, TrainStep, Where } from './run.js';
import { type Tracker, checkReportTo } from './trackers/tracker.js';

export type { RunFolderOptions } from './open-folder.js';

const named = (prefix: string, values: JsonObject): Record<string, number> =>
  Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      typeof value === 'number' ? [[`${prefix}/${name}`, value]] : [],
    ),
  );

const checkLimit = (limit: number | undefined): void => {
  if (limit === undefined || (Number.isSafeInteger(limit) && limit >= 1)) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `saveTotalLimit must be a number of checkpoints, 1 or more, got ${String(limit)}.`,
  );
};

export class RunFolder implements Recorder, AsyncDisposable {
  readonly path: string;
  /** Steps that were made before: 0 for a new run. */
  readonly fromStep: number;
  readonly #options: RunFolderOptions;
  readonly #checkpoint: StoredCheckpoint | null;
  readonly #metrics: FileHandle;
  readonly #trackers: readonly Tracker[];
  readonly #unlock: () => Promise<void>;
  #manifest: Manifest | null;
  #lastStep: number;
  #lastSaved: number | null = null;
  #restored = false;
  #ended: Promise<void> | undefined;

  private constructor(
    path: string,
    options: RunFolderOptions,
    parts: OpenedFolder & { readonly unlock: () => Promise<void> },
  ) {
    this.path = path;
    this.fromStep = parts.checkpoint?.state.step ?? 0;
    this.#options = options;
    this.#checkpoint = parts.checkpoint;
    this.#metrics = parts.metrics;
    this.#trackers = parts.trackers;
    this.#manifest = parts.manifest;
    this.#unlock = parts.unlock;
    this.#lastStep = this.fromStep;
  }

  /**
   * Locks the folder and makes it ready: new, emptied of an old run, or as it was at the checkpoint
   * to resume from. Throws RUN_INVALID when it is in use, or holds a run and neither resume nor
   * overwrite is asked. Close it by end() or dispose it.
   */
  static async open(folder: string, options: RunFolderOptions = {}): Promise<RunFolder> {
    const path = resolve(folder);
    checkLimit(options.saveTotalLimit);
    const reportTo = checkReportTo([options.reportTo ?? 'tensorboard'].flat());
    openingOf(path, await namesIn(path), options); // before anything is made
    await mkdir(path, { recursive: true }).catch((cause: unknown) => {
      throw fromSystem(cause, `make the run folder ${path}`);
    });
    const unlock = await lockFolder(path);
    try {
      return new RunFolder(path, options, {
        ...(await prepareFolder(path, options, reportTo)),
        unlock,
      });
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  /** Where the sources' log goes; already cut back to the checkpoint. */
  get completionsPath(): string {
    return join(this.path, completionsName);
  }

  /** SHA-256 of the state that the run goes on from; null for a new run. */
  get stateHash(): string | null {
    return this.#checkpoint?.hash ?? null;
  }

  async begin(run: JsonObject, where: Where = { device: 'cpu', exact: true }): Promise<void> {
    const before = this.#manifest;
    if (before) checkSameRun(this.path, before.run, run);
    const session = describeSession(where, this.fromStep, this.#checkpoint?.hash);
    this.#manifest = {
      format: formatVersion,
      status: 'running',
      run,
      sessions: [...(before?.sessions ?? []), session],
    };
    await writeManifest(this.path, this.#manifest);
    for (const tracker of this.#trackers) {
      await tracker.logText?.('manifest', `\`\`\`json\n${toJsonText(this.#manifest, 2)}\n\`\`\``);
    }
  }

  async logStep(step: TrainStep): Promise<void> {
    const { index, loss, gradNorm, learningRate, tokens, epoch, seconds, metrics } = step;
    const own = {
      loss,
      grad_norm: gradNorm,
      learning_rate: learningRate,
      num_tokens: tokens,
      ...(epoch === undefined ? {} : { epoch }),
    };
    const values = { ...own, ...metrics, ...own }; // in this order, and no metric hides one of these
    this.#requireRestored();
    this.#lastStep = index;
    await this.#write({ step: index, ...values });
    await this.#track(index, { ...named('train', values), 'train/step_seconds': seconds });
  }

  async logEvaluation(step: number, metrics: Readonly<Record<string, number>>): Promise<void> {
    const bare = Object.entries(metrics).map(
      ([name, value]) => [name.replace(/^eval_/, ''), value] as const,
    );
    const prefixed = bare.map(([name, value]) => [`eval_${name}`, value] as const);
    await this.#write({ step, ...Object.fromEntries(prefixed) });
    await this.#track(step, named('eval', Object.fromEntries(bare)));
  }

  async saveCheckpoint(parts: CheckpointParts): Promise<void> {
    const { tokenizer, saveTotalLimit } = this.#options;
    if (parts.state.step === this.#lastSaved) return;
    await writeCheckpoint(this.path, parts, {
      ...(tokenizer === undefined ? {} : { tokenizer }),
      logSizes: async () => {
        const sizes = logNames.map(
          async (name) => [name, await durableSize(join(this.path, name))] as const,
        );
        return Object.fromEntries(await Promise.all(sizes));
      },
    });
    this.#lastSaved = parts.state.step;
    if (saveTotalLimit !== undefined) await pruneCheckpoints(this.path, saveTotalLimit);
  }

  async restore(parts: Omit<CheckpointParts, 'state'>): Promise<TrainState | null> {
    if (!this.#checkpoint) return null;
    await restoreCheckpoint(this.#checkpoint, parts);
    this.#restored = true;
    this.#lastSaved = this.#checkpoint.state.step;
    return this.#checkpoint.state;
  }

  async end(completed: boolean): Promise<void> {
    this.#ended ??= this.#close(completed);
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end(false);
  }

  #requireRestored(): void {
    if (this.#restored || !this.#checkpoint) return;
    throw new AlignlabError(
      'RUN_INVALID',
      `${this.path} was opened to go on from step ${this.fromStep}, but its checkpoint was not ` +
        'restored. Call train() with resume: true.',
    );
  }

  async #write(line: JsonObject): Promise<void> {
    // One write a line: a killed process leaves at most one that is cut off.
    await this.#metrics.appendFile(`${toJsonText(line)}\n`).catch((cause: unknown) => {
      throw fromSystem(cause, `write ${join(this.path, metricsName)}`);
    });
  }

  async #track(step: number, scalars: Readonly<Record<string, number>>): Promise<void> {
    for (const tracker of this.#trackers) await tracker.log(step, scalars);
  }

  /** All are closed, even where one fails. */
  async #closeLogs(): Promise<void> {
    const closed = await Promise.allSettled([
      this.#metrics.sync().finally(() => this.#metrics.close()),
      ...this.#trackers.map(async (tracker) => tracker.close()),
    ]);
    for (const result of closed) if (result.status === 'rejected') throw result.reason;
  }

  async #close(completed: boolean): Promise<void> {
    try {
      await this.#closeLogs();
      if (this.#manifest) {
        const status = completed ? 'completed' : 'stopped';
        await writeManifest(this.path, { ...this.#manifest, status, steps: this.#lastStep });
      }
    } catch (cause) {
      throw fromSystem(cause, `finish the run folder ${this.path}`);
    } finally {
      await this.#unlock();
    }
  }
}
