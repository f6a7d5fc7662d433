// A worker thread of the study: makes all stages of all experiments, and leaves the findings to the
// main thread.
import { setThreads } from '../../engine/device.js';
import { choose } from '../run-experiments.js';
import type { WorkerData } from '../running.js';
import { Study } from '../study.js';
import { serve } from '../workers.js';
import { experiments } from './experiments/index.js';
import { openLab } from './lab.js';
import { openMaterials } from './materials.js';
import type { Recipe } from './recipe.js';

await serve(async (data, served) => {
  const { recipe, folder, only, threads } = data as WorkerData<Recipe>;
  await setThreads(threads);
  const study = Study.join(folder, served);
  const lab = await openLab(study, await openMaterials(study, recipe));
  const tasks = choose(experiments, lab, only).flatMap(({ run }) =>
    recipe.seeds.map((seed) => () => run(lab, seed)),
  );
  return [() => lab.start(), ...tasks];
});
