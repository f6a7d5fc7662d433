// The study of Niu et al. 2022, "When to Trust Your Simulator: Dynamics-Aware Hybrid
// Offline-and-Online Reinforcement Learning" (arXiv 2206.13464), as a function.
import { engineInfo, setThreads } from '../../engine/device.js';
import { requireWhole } from '../../options.js';
import {
  choose,
  conclude,
  failedAssertions,
  idsOf,
  plan,
  signaturesOf,
} from '../run-experiments.js';
import { type StageEvent, StagePlan, Study } from '../study.js';
import { runWorkers } from '../workers.js';
import { experiments } from './experiments/index.js';
import { type Lab, openLab } from './lab.js';
import { type Outcome, writeOutcome } from './outcome.js';
import type { Recipe } from './recipe.js';
import { allSignatures } from './signatures.js';
import type { WorkerData } from './worker.js';

export type { Outcome } from './outcome.js';
export type { Recipe } from './recipe.js';
export { recipeOf, recipes } from './scales.js';

export const experimentIds: readonly string[] = idsOf(experiments);

export interface SimulatorOptions {
  readonly recipe: Recipe;
  /** Where artefacts, result.json and report.html go. */
  readonly folder: string;
  /** Ids of experiments, such as 'joint-noise'. Default: all of the recipe. */
  readonly only?: readonly string[];
  /** Go on with what the folder holds. Default false. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Worker threads that run stages at the same time; results are the same. Default 1. */
  readonly jobs?: number;
  /** Threads of each engine. Default 1. */
  readonly threads?: number;
  /** What does the same again, for the report. */
  readonly command?: string;
  readonly onEvent?: (event: StageEvent) => void;
  /** Told before the first stage how many there are. */
  readonly onPlan?: (stages: number) => void;
}

export interface SimulatorOutcome extends Outcome {
  readonly recipe: Recipe;
  /** Path of the report. */
  readonly report: string;
  /** Signatures that the recipe asserts and that do not hold: empty in a run that has passed. */
  readonly failed: readonly string[];
}

const countStages = async (recipe: Recipe, only: readonly string[] | null): Promise<number> => {
  const stages = new StagePlan();
  const lab = openLab(stages, recipe, '');
  await plan(choose(experiments, lab, only), lab);
  return stages.size;
};

/** Each stage starts and ends once, also where several threads and a last reading ask for it. */
const oncePerStage = (onEvent: (event: StageEvent) => void) => {
  const ended = new Set<string>();
  return (event: StageEvent): void => {
    if (ended.has(event.key)) return;
    if (event.kind === 'finished' || event.kind === 'reused') ended.add(event.key);
    onEvent(event);
  };
};

const runStudy = async (study: Study, options: SimulatorOptions): Promise<SimulatorOutcome> => {
  const { recipe, jobs = 1, threads = 1, only = null, command = '', signal, onEvent } = options;
  options.onPlan?.(await countStages(recipe, only));
  if (jobs > 1) {
    const data: WorkerData = { recipe, folder: study.folder, only, threads };
    const name = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
    const module = new URL(name, import.meta.url);
    await runWorkers({ module, data, threads: jobs, signal, onEvent });
  }
  const lab: Lab = openLab(study, recipe, study.folder);
  const findings = await conclude(choose(experiments, lab, only), lab);
  const outcome = { findings, signatures: allSignatures(signaturesOf(findings)) };
  const report = await writeOutcome(study, lab, outcome, command);
  const failed = failedAssertions(recipe.asserts, findings, only !== null);
  return { ...outcome, recipe, report, failed };
};

/**
 * Runs the study, or goes on with it, and writes result.json, points.csv and report.html. Throws
 * RUN_INVALID for a folder in use or, without `resume`, one that holds a study; ABORTED;
 * OPTION_INVALID; ADDON_NOT_FOUND without @mujoco/mujoco; DEVICE_UNAVAILABLE.
 */
export const simulator = async (options: SimulatorOptions): Promise<SimulatorOutcome> => {
  const { folder, resume = false, signal, jobs = 1, threads = 1 } = options;
  requireWhole('jobs', jobs);
  const onEvent = oncePerStage((event) => options.onEvent?.(event));
  openLab(new StagePlan(), options.recipe, ''); // refuses a device before it makes a folder
  await using study = await Study.open(folder, { resume, onEvent, ...(signal ? { signal } : {}) });
  const before = engineInfo().threads;
  await setThreads(threads);
  try {
    return await runStudy(study, { ...options, onEvent });
  } finally {
    await setThreads(before);
  }
};
