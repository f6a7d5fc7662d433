// The study of Niu et al. 2022, "When to Trust Your Simulator: Dynamics-Aware Hybrid
// Offline-and-Online Reinforcement Learning" (arXiv 2206.13464), as a function.
import type { Outcome } from '../outcome.js';
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
import { openLab } from './lab.js';
import { writeOutcome } from './outcome.js';
import type { Recipe } from './recipe.js';
import { allSignatures } from './signatures.js';

export type { Recipe } from './recipe.js';
export { recipeOf, recipes } from './scales.js';

export const experimentIds: readonly string[] = idsOf(experiments);

export type SimulatorOptions = RunOptions<Recipe>;

export interface SimulatorOutcome extends Outcome, RunOutcome<Recipe> {}

const countStages = async (recipe: Recipe, only: readonly string[] | null): Promise<number> => {
  const stages = new StagePlan();
  const lab = openLab(stages, recipe, '');
  await plan(choose(experiments, lab, only), lab);
  return stages.size;
};

/**
 * Runs the study, or goes on with it, and writes result.json, points.csv and report.html. Throws
 * RUN_INVALID for a folder in use or, without `resume`, one that holds a study; ABORTED;
 * OPTION_INVALID; ADDON_NOT_FOUND without @mujoco/mujoco; DEVICE_UNAVAILABLE.
 */
export const simulator = async (options: SimulatorOptions): Promise<SimulatorOutcome> => {
  const { recipe, only = null, command = '', onPlan } = options;
  openLab(new StagePlan(), recipe, ''); // refuses a device before it makes a folder
  return inStudy(options, async (running) => {
    const { study } = running;
    onPlan?.(await countStages(recipe, only));
    await makeStages(running, options, import.meta.url);
    const lab = openLab(study, recipe, study.folder);
    const findings = await conclude(choose(experiments, lab, only), lab);
    const outcome = { findings, signatures: allSignatures(signaturesOf(findings)) };
    const report = await writeOutcome(study, lab, outcome, command);
    const failed = failedAssertions(recipe.asserts, findings, only !== null);
    return { ...outcome, recipe, report, failed };
  });
};
