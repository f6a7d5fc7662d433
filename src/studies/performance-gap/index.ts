// The performance-gap study as a function.
import { engineInfo, setThreads } from '../../engine/device.js';
import { failing } from '../signature.js';
import { type StageEvent, Study } from '../study.js';
import { type Outcome, writeOutcome } from './outcome.js';
import type { Recipe } from './recipe.js';
import { runStages } from './run.js';
import { measureSignatures } from './signatures.js';

export { type Recipe, recipeOf, recipes } from './recipe.js';
export { stageCount } from './run.js';
export type { Outcome } from './outcome.js';

export interface StudyRunOptions {
  readonly recipe: Recipe;
  /** Where artefacts, result.json and report.html go. */
  readonly folder: string;
  /** Go on with what the folder holds. Default false. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Threads of the engine while it runs. Default 1: models this small are slower on several. */
  readonly threads?: number;
  /** What does the same again, for the report. */
  readonly command?: string;
  readonly onEvent?: (event: StageEvent) => void;
}

export interface StudyOutcome extends Outcome {
  /** Path of the report. */
  readonly report: string;
  /** Signatures that the recipe asserts and that do not hold: empty in a run that has passed. */
  readonly failed: readonly string[];
  /** Stages that were run; the others were found in the folder. */
  readonly computed: number;
}

/**
 * Runs the study, or goes on with it, and writes result.json, points.csv and report.html. Throws
 * RUN_INVALID for a folder in use or, without `resume`, one that holds a study; ABORTED.
 */
export const performanceGap = async (options: StudyRunOptions): Promise<StudyOutcome> => {
  const { recipe, folder, resume = false, signal, threads = 1, command = '', onEvent } = options;
  await using study = await Study.open(folder, {
    resume,
    ...(signal ? { signal } : {}),
    ...(onEvent ? { onEvent } : {}),
  });
  const before = engineInfo().threads;
  await setThreads(threads);
  try {
    const runs = await runStages(study, recipe);
    const signatures = await measureSignatures(runs);
    const report = await writeOutcome(study, { runs, signatures }, command);
    const failed = failing(signatures, recipe.asserts);
    return { runs, signatures, report, failed, computed: study.computed };
  } finally {
    await setThreads(before);
  }
};
