// The study of Song et al. 2024, "The Importance of Online Data: Understanding Preference
// Fine-tuning via Coverage" (arXiv 2406.01462), as a function.
import { engineInfo, setThreads } from '../../engine/device.js';
import type { Findings } from '../experiment.js';
import { failing } from '../signature.js';
import { type StageEvent, StagePlan, Study } from '../study.js';
import { chooseExperiments } from './experiments/index.js';
import { type Lab, openLab, openMaterials } from './lab.js';
import { type Outcome, writeOutcome } from './outcome.js';
import type { Recipe } from './recipe.js';
import type { TextMaterials } from './text/materials.js';

export { experimentIds } from './experiments/index.js';
export type { Outcome } from './outcome.js';
export type { Recipe } from './recipe.js';
export { recipeOf, recipes } from './scales.js';

export interface CoverageOptions {
  readonly recipe: Recipe;
  /** Where artefacts, result.json and report.html go. */
  readonly folder: string;
  /** Ids of experiments, such as 'extrapolation'. Default: all of the recipe. */
  readonly only?: readonly string[];
  /** Go on with what the folder holds. Default false. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Threads of the engine. Default 1. */
  readonly threads?: number;
  /** What does the same again, for the report. */
  readonly command?: string;
  readonly onEvent?: (event: StageEvent) => void;
  /** Told before the first stage how many there are. */
  readonly onPlan?: (stages: number) => void;
}

export interface CoverageOutcome extends Outcome {
  readonly recipe: Recipe;
  /** Path of the report. */
  readonly report: string;
  /** Signatures that the recipe asserts and that do not hold: empty in a run that has passed. */
  readonly failed: readonly string[];
}

/** Experiments see empty results; what fails on them is not counted. */
const countStages = async (
  recipe: Recipe,
  materials: TextMaterials | null,
  only: readonly string[] | null,
): Promise<number> => {
  const plan = new StagePlan();
  const lab = openLab(plan, recipe, materials);
  for (const { run } of chooseExperiments(lab, only)) {
    for (const seed of recipe.seeds) await run(lab, seed).catch(() => undefined);
  }
  return plan.size + (materials ? 1 : 0); // the worlds, which the materials are made of
};

const conclude = async (lab: Lab, only: readonly string[] | null): Promise<Outcome> => {
  const findings = new Map<string, Findings>();
  for (const experiment of chooseExperiments(lab, only)) {
    findings.set(experiment.id, await experiment.conclude(lab, lab.recipe.seeds));
  }
  return { findings, signatures: [...findings.values()].flatMap((each) => each.signatures) };
};

/** Of the asserted signatures, those that the run is about. */
const asserted = ({ asserts }: Recipe, { signatures }: Outcome, partial: boolean): string[] =>
  asserts.filter((id) => !partial || signatures.some((signature) => signature.id === id));

/**
 * Runs the study, or goes on with it, and writes result.json and report.html. Throws RUN_INVALID
 * for a folder in use or, without `resume`, one that holds a study; ABORTED; OPTION_INVALID.
 */
export const coverage = async (options: CoverageOptions): Promise<CoverageOutcome> => {
  const { recipe, folder, only = null, resume = false, threads = 1, command = '' } = options;
  const { signal, onEvent, onPlan } = options;
  await using study = await Study.open(folder, {
    resume,
    ...(signal ? { signal } : {}),
    ...(onEvent ? { onEvent } : {}),
  });
  const before = engineInfo().threads;
  await setThreads(threads);
  try {
    const materials = await openMaterials(study, recipe);
    onPlan?.(await countStages(recipe, materials, only));
    const outcome = await conclude(openLab(study, recipe, materials), only);
    const report = await writeOutcome(study, recipe, outcome, command);
    const failed = failing(outcome.signatures, asserted(recipe, outcome, only !== null));
    return { ...outcome, recipe, report, failed };
  } finally {
    await setThreads(before);
  }
};
