// The study of Tang et al. 2024, "Understanding the performance gap between online and offline
// alignment algorithms" (arXiv 2405.08448), as a function.
import {
  choose,
  conclude,
  failedAssertions,
  idsOf,
  plan,
  signaturesOf,
} from '../run-experiments.js';
import { type RunOptions, type RunOutcome, inStudy, makeStages } from '../running.js';
import { StagePlan } from '../study.js';
import { experiments } from './experiments/index.js';
import { type Lab, openLab } from './lab.js';
import { type Materials, openMaterials } from './materials.js';
import { type Outcome, writeOutcome } from './outcome.js';
import type { Recipe } from './recipe.js';
import { allSignatures } from './signatures.js';

export { recipeOfFiles } from './files-recipe.js';
export type { RecipeFiles } from './files.js';
export { type Recipe, type RecipeChanges, recipeOf } from './recipe.js';
export { recipes } from './scales.js';
export type { Lab } from './lab.js';
export type { Outcome } from './outcome.js';

export const experimentIds: readonly string[] = idsOf(experiments);

export type StudyRunOptions = RunOptions<Recipe>;

export interface StudyOutcome extends Outcome, RunOutcome<Recipe> {
  /** With every arm, and its folder. */
  readonly lab: Lab;
  /** Stages that were run; the others were found in the folder. */
  readonly computed: number;
}

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

/**
 * Runs the study, or goes on with it, and writes result.json, points.csv and report.html. Throws
 * RUN_INVALID for a folder in use or, without `resume`, one that holds a study; ABORTED;
 * OPTION_INVALID.
 */
export const performanceGap = (options: StudyRunOptions): Promise<StudyOutcome> =>
  inStudy(options, async (running) => {
    const { recipe, only = null, command = '', onPlan } = options;
    const { study } = running;
    const materials = await openMaterials(study, recipe);
    onPlan?.(await countStages(materials, only));
    await makeStages(running, options, import.meta.url);
    const lab = await openLab(study, materials);
    const outcome = await findAll(lab, only);
    const report = await writeOutcome(study, lab, outcome, command);
    const failed = failedAssertions(recipe.asserts, outcome.findings, only !== null);
    return { ...outcome, recipe, lab, report, failed, computed: running.computed() };
  });
