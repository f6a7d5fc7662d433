// The study of Song et al. 2024, "The Importance of Online Data: Understanding Preference
// Fine-tuning via Coverage" (arXiv 2406.01462), as a function.
import type { Outcome } from '../outcome.js';
import {
  choose,
  conclude,
  failedAssertions,
  idsOf,
  plan,
  signaturesOf,
} from '../run-experiments.js';
import { type RunOptions, type RunOutcome, inStudy } from '../running.js';
import { StagePlan } from '../study.js';
import { experiments } from './experiments/index.js';
import { openLab, openMaterials } from './lab.js';
import { writeOutcome } from './outcome.js';
import type { Recipe } from './recipe.js';
import type { TextMaterials } from './text/materials.js';

export { song2024 } from './paper.js';
export type { Recipe } from './recipe.js';
export { recipeOf, recipes } from './scales.js';

export const experimentIds: readonly string[] = idsOf(experiments);

/** Its stages are run one after the other. */
export type CoverageOptions = Omit<RunOptions<Recipe>, 'jobs'>;

export interface CoverageOutcome extends Outcome, RunOutcome<Recipe> {}

const countStages = async (
  recipe: Recipe,
  materials: TextMaterials | null,
  only: readonly string[] | null,
): Promise<number> => {
  const stages = new StagePlan();
  const lab = openLab(stages, recipe, materials);
  await plan(choose(experiments, lab, only), lab);
  return stages.size + (materials ? 1 : 0); // the worlds, which the materials are made of
};

/**
 * Runs the study, or goes on with it, and writes result.json and report.html. Throws RUN_INVALID
 * for a folder in use or, without `resume`, one that holds a study; ABORTED; OPTION_INVALID.
 */
export const coverage = (options: CoverageOptions): Promise<CoverageOutcome> =>
  inStudy(options, async ({ study }) => {
    const { recipe, only = null, command = '', onPlan } = options;
    const materials = await openMaterials(study, recipe);
    onPlan?.(await countStages(recipe, materials, only));
    const lab = openLab(study, recipe, materials);
    const findings = await conclude(choose(experiments, lab, only), lab);
    const outcome = { findings, signatures: signaturesOf(findings) };
    const report = await writeOutcome(study, recipe, outcome, command);
    const failed = failedAssertions(recipe.asserts, findings, only !== null);
    return { ...outcome, recipe, report, failed };
  });
