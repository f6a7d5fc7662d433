// A worker thread of the study: makes all stages of all experiments, and leaves the findings to the
// main thread.
import { setThreads } from '../../engine/device.js';
import { choose } from '../run-experiments.js';
import type { WorkerData } from '../running.js';
import { Study } from '../study.js';
import { serve } from '../workers.js';
import { experiments } from './experiments/index.js';
import { openLab } from './lab.js';
import type { Recipe } from './recipe.js';

await serve(async (data, served) => {
  const { recipe, folder, only, threads } = data as WorkerData<Recipe>;
  await setThreads(threads);
  const lab = openLab(Study.join(folder, served), recipe, folder);
  // One pass makes the stages of all seeds.
  return choose(experiments, lab, only).map(
    ({ run }) =>
      () =>
        run(lab, recipe.seeds[0]!),
  );
});
