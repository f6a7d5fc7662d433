// What every study does around its stages: its options, the folder, the engine's threads, events
// that come once, and worker threads.
import { engineInfo, setThreads } from '../engine/device.js';
import { requireWhole } from '../options.js';
import { type StageEvent, Study } from './study.js';
import { runWorkers } from './workers.js';

export interface RunOptions<Recipe> {
  readonly recipe: Recipe;
  /** Where artefacts, result.json and report.html go. */
  readonly folder: string;
  /** Ids of experiments, such as 'fig-4'. Default: all of the recipe. */
  readonly only?: readonly string[];
  /** Go on with what the folder holds. Default false. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Worker threads that run stages at the same time; results are the same. Default 1. */
  readonly jobs?: number;
  /** Threads of each engine. Default 1: models this small are slower on several. */
  readonly threads?: number;
  /** What does the same again, for the report. */
  readonly command?: string;
  readonly onEvent?: (event: StageEvent) => void;
  /** Told before the first stage how many there are: kept ones, and those to run. */
  readonly onPlan?: (stages: number) => void;
}

export interface RunOutcome<Recipe> {
  readonly recipe: Recipe;
  /** Path of the report. */
  readonly report: string;
  /** Signatures that the recipe asserts and that do not hold: empty in a run that has passed. */
  readonly failed: readonly string[];
}

/** What a worker of a study is given. */
export interface WorkerData<Recipe> {
  readonly recipe: Recipe;
  readonly folder: string;
  readonly only: readonly string[] | null;
  /** Of each worker's engine. */
  readonly threads: number;
}

export interface Running {
  readonly study: Study;
  readonly onEvent: (event: StageEvent) => void;
  /** Stages that were run so far; the others were found in the folder. */
  computed(): number;
}

/** Each stage starts and ends once, also where several threads and a last reading ask for it. */
const oncePerStage = (onEvent: (event: StageEvent) => void): Omit<Running, 'study'> => {
  const ended = new Set<string>();
  let computed = 0;
  return {
    onEvent: (event) => {
      if (ended.has(event.key)) return;
      if (event.kind === 'finished' || event.kind === 'reused') ended.add(event.key);
      computed += Number(event.kind === 'finished');
      onEvent(event);
    },
    computed: () => computed,
  };
};

/**
 * Runs with the study of the folder open and the engine's threads set, and puts both back. Throws
 * RUN_INVALID for a folder in use or, without `resume`, one that holds a study; OPTION_INVALID.
 */
export const inStudy = async <Result>(
  options: Omit<RunOptions<unknown>, 'recipe'>,
  run: (running: Running) => Promise<Result>,
): Promise<Result> => {
  const { folder, resume = false, signal, jobs = 1, threads = 1 } = options;
  requireWhole('jobs', jobs);
  const events = oncePerStage((event) => options.onEvent?.(event));
  const { onEvent } = events;
  await using study = await Study.open(folder, { resume, onEvent, ...(signal ? { signal } : {}) });
  const before = engineInfo().threads;
  await setThreads(threads);
  try {
    return await run({ study, ...events });
  } finally {
    await setThreads(before);
  }
};

/** With several jobs, has worker.js beside `here` (import.meta.url) make all stages. */
export const makeStages = async <Recipe>(
  { study, onEvent }: Running,
  { recipe, jobs = 1, threads = 1, only, signal }: RunOptions<Recipe>,
  here: string,
): Promise<void> => {
  if (jobs <= 1) return;
  const data: WorkerData<Recipe> = { recipe, folder: study.folder, only: only ?? null, threads };
  const module = new URL(here.endsWith('.ts') ? './worker.ts' : './worker.js', here);
  await runWorkers({ module, data, threads: jobs, signal, onEvent });
};
