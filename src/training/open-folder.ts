// Opening a run folder: what it holds, what was asked, and the state that it is put in before a run
// writes to it.
import { type FileHandle, open, readFile, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError, fromSystem } from '../errors.js';
import {
  type StoredCheckpoint,
  checkpointFolder,
  newestCheckpoint,
  readCheckpointState,
  removeCheckpointsAfter,
  removeLeftovers,
} from './checkpoint.js';
import { cutBack, writeWhole } from './files.js';
import { asWritten, differences } from './json-text.js';
import { type Manifest, manifestName, readManifest } from './manifest.js';
import { type Tracker, openTrackers } from './trackers/tracker.js';

const configName = 'config.yaml';
export const metricsName = 'metrics.jsonl';
export const completionsName = 'completions.jsonl';
export const logNames = [metricsName, completionsName];

/** What a run writes; --overwrite removes this and nothing else. */
const isOfRun = (name: string): boolean =>
  [configName, manifestName, ...logNames, 'tensorboard', 'report.html'].includes(name) ||
  /^checkpoint-\d+$/.test(name);

export interface RunFolderOptions {
  /** The resolved configuration, as config.yaml records it. */
  readonly config?: JsonObject;
  /**
   * Go on with the run that the folder holds: from its newest whole checkpoint (true), from a named
   * one ('checkpoint-20'; later ones are removed), or start where there is none ('auto').
   */
  readonly resume?: boolean | string;
  /** Remove the run that the folder holds and start anew. */
  readonly overwrite?: boolean;
  /** Keys of the configuration that do not decide results, so that a resumed run may change them. */
  readonly mayChange?: readonly string[];
  /** Checkpoints to keep, the newest ones. Default: all. */
  readonly saveTotalLimit?: number;
  /** As transformers' report_to: 'tensorboard', 'all', 'none'. Default 'tensorboard'. */
  readonly reportTo?: string | readonly string[];
  /** Further places for the numbers; closed at the end of the run. */
  readonly trackers?: readonly Tracker[];
  /**
   * A folder whose tokenizer checkpoints take along. A model that was loaded with its own head
   * brings its tokenizer; one with a new scalar head needs this.
   */
  readonly tokenizer?: string;
}

const invalid = (message: string): AlignlabError => new AlignlabError('RUN_INVALID', message);

export const namesIn = async (folder: string): Promise<string[]> => {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw fromSystem(cause, `open the run folder ${folder}`);
  }
};

type Opening = 'new' | 'resume' | 'overwrite';

/** What to do with a folder, by what it holds and what was asked. */
export const openingOf = (
  folder: string,
  names: readonly string[],
  { resume = false, overwrite = false }: RunFolderOptions,
): Opening => {
  if (resume !== false && overwrite) {
    throw new AlignlabError('OPTION_INVALID', 'Ask for resume or for overwrite, not for both.');
  }
  if (!names.some(isOfRun)) {
    if (resume === false || resume === 'auto') return 'new';
    throw invalid(`${folder} holds no run that could be resumed. Check the path, or start anew.`);
  }
  if (overwrite) return 'overwrite';
  if (resume !== false) return 'resume';
  throw invalid(
    `${folder} holds another run. Take a new folder, go on with that run (resume), or replace it ` +
      '(overwrite).',
  );
};

const checkpointToResume = async (
  folder: string,
  resume: boolean | string,
): Promise<StoredCheckpoint | null> => {
  if (typeof resume !== 'string' || resume === 'auto') return newestCheckpoint(folder);
  const step = /^checkpoint-(\d+)$/.exec(basename(resume))?.[1];
  const elsewhere = dirname(resume) !== '.' && resolve(dirname(resume)) !== folder;
  if (step !== undefined && !elsewhere) {
    return readCheckpointState(checkpointFolder(folder, Number(step)));
  }
  throw new AlignlabError(
    'OPTION_INVALID',
    `resume must be true, 'auto' or a checkpoint of ${folder} such as 'checkpoint-20'; got ` +
      `"${resume}". To start from the weights of another run, give that folder as the model.`,
  );
};

const checkSameConfig = async (
  folder: string,
  { config = {}, mayChange = [] }: RunFolderOptions,
): Promise<void> => {
  const path = join(folder, configName);
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return;
  const before: unknown = parse(text);
  const places = differences(before, asWritten(config));
  const [first, ...others] = places.filter(
    (place) => !mayChange.some((key) => place === key || place.startsWith(`${key}.`)),
  );
  if (first === undefined) return;
  throw invalid(
    `The configuration differs from ${path} at ${[first, ...others].join(', ')}: the resumed run ` +
      'would not be the one that was begun. Leave these as they were, or start in another folder.',
  );
};

/** Puts the folder in the state of the checkpoint, or of the start when there is none. */
const rewind = async (folder: string, checkpoint: StoredCheckpoint | null): Promise<void> => {
  for (const name of logNames) await cutBack(join(folder, name), checkpoint?.logs[name] ?? 0);
  await removeCheckpointsAfter(folder, checkpoint?.state.step ?? -1);
};

export interface OpenedFolder {
  readonly checkpoint: StoredCheckpoint | null;
  readonly metrics: FileHandle;
  readonly trackers: readonly Tracker[];
  readonly manifest: Manifest | null;
}

/** Under the lock: the folder made ready, its logs open. */
export const prepareFolder = async (
  path: string,
  options: RunFolderOptions,
  reportTo: readonly string[],
): Promise<OpenedFolder> => {
  const names = await namesIn(path);
  const opening = openingOf(path, names, options);
  await removeLeftovers(path);
  let checkpoint: StoredCheckpoint | null = null;
  let manifest: Manifest | null = null;
  if (opening === 'overwrite') {
    for (const name of names.filter(isOfRun)) await rm(join(path, name), { recursive: true });
  } else if (opening === 'resume') {
    await checkSameConfig(path, options);
    manifest = await readManifest(path);
    checkpoint = await checkpointToResume(path, options.resume ?? true);
    await rewind(path, checkpoint);
  }
  if (options.config) {
    await writeWhole(join(path, configName), stringify(asWritten(options.config)));
  }
  const metrics = await open(join(path, metricsName), 'a').catch((cause: unknown) => {
    throw fromSystem(cause, `write ${join(path, metricsName)}`);
  });
  const context = { folder: path, fromStep: checkpoint?.state.step ?? 0 };
  try {
    const trackers = [...(await openTrackers(reportTo, context)), ...(options.trackers ?? [])];
    return { checkpoint, metrics, trackers, manifest };
  } catch (error) {
    await metrics.close();
    throw error;
  }
};
