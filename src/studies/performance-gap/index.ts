// The study of Tang et al. 2024, "Understanding the performance gap between online and offline
// alignment algorithms" (arXiv 2405.08448), as a function.
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
import { type Materials, openMaterials } from './materials.js';
import { type Outcome, writeOutcome } from './outcome.js';
import type { Recipe } from './recipe.js';
import { allSignatures } from './signatures.js';
import type { WorkerData } from './worker.js';

export { recipeOfFiles } from './files-recipe.js';
export type { RecipeFiles } from './files.js';
export { type Recipe, type RecipeChanges, recipeOf } from './recipe.js';
export { recipes } from './scales.js';
export type { Lab } from './lab.js';
export type { Outcome } from './outcome.js';

export const experimentIds: readonly string[] = idsOf(experiments);

export interface StudyRunOptions {
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

export interface StudyOutcome extends Outcome {
  readonly recipe: Recipe;
  /** With every arm, and its folder. */
  readonly lab: Lab;
  /** Path of the report. */
  readonly report: string;
  /** Signatures that the recipe asserts and that do not hold: empty in a run that has passed. */
  readonly failed: readonly string[];
  /** Stages that were run; the others were found in the folder. */
  readonly computed: number;
}

/** Each stage starts and ends once, also where several threads and a last reading ask for it. */
const oncePerStage = (onEvent: (event: StageEvent) => void) => {
  const ended = new Set<string>();
  let computed = 0;
  return {
    onEvent: (event: StageEvent): void => {
      if (ended.has(event.key)) return;
      if (event.kind === 'finished' || event.kind === 'reused') ended.add(event.key);
      computed += Number(event.kind === 'finished');
      onEvent(event);
    },
    computed: () => computed,
  };
};

const countStages = async (
  materials: Materials,
  only: readonly string[] | null,
): Promise<number> => {
  const stages = new StagePlan();
  const lab = await openLab(stages, materials);
  await lab.start();
  await plan(choose(experiments, lab, only), lab);
  return stages.size + 1; // the world, which the materials are made of
};

const findAll = async (lab: Lab, only: readonly string[] | null): Promise<Outcome> => {
  const start = await lab.start();
  const findings = await conclude(choose(experiments, lab, only), lab);
  const proxies = await Promise.all(
    lab.recipe.seeds.map(async (seed) => ({ seed, ...(await lab.proxy(seed)).result })),
  );
  return { signatures: allSignatures(signaturesOf(findings)), findings, start, proxies };
};

const runStudy = async (
  study: Study,
  options: StudyRunOptions,
  onEvent: (event: StageEvent) => void,
) => {
  const { recipe, jobs = 1, threads = 1, only = null, command = '', signal, onPlan } = options;
  const materials = await openMaterials(study, recipe);
  onPlan?.(await countStages(materials, only));
  if (jobs > 1) {
    const data: WorkerData = { recipe, folder: study.folder, only, threads };
    const name = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
    const module = new URL(name, import.meta.url);
    await runWorkers({ module, data, threads: jobs, signal, onEvent });
  }
  const lab = await openLab(study, materials);
  const outcome = await findAll(lab, only);
  const report = await writeOutcome(study, lab, outcome, command);
  const failed = failedAssertions(recipe.asserts, outcome.findings, only !== null);
  return { ...outcome, recipe, lab, report, failed };
};

/**
 * Runs the study, or goes on with it, and writes result.json, points.csv and report.html. Throws
 * RUN_INVALID for a folder in use or, without `resume`, one that holds a study; ABORTED;
 * OPTION_INVALID.
 */
export const performanceGap = async (options: StudyRunOptions): Promise<StudyOutcome> => {
  const { folder, resume = false, signal, jobs = 1, threads = 1 } = options;
  requireWhole('jobs', jobs);
  const once = oncePerStage((event) => options.onEvent?.(event));
  const { onEvent } = once;
  await using study = await Study.open(folder, { resume, onEvent, ...(signal ? { signal } : {}) });
  const before = engineInfo().threads;
  await setThreads(threads);
  try {
    return { ...(await runStudy(study, options, onEvent)), computed: once.computed() };
  } finally {
    await setThreads(before);
  }
};
