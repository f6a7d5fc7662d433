// The study of Tang et al. 2024, "Understanding the performance gap between online and offline
// alignment algorithms" (arXiv 2405.08448): all stages, in order.
import type { Artefact, Study } from '../study.js';
import { type Arm, type ArmRun, type Ground, armRun, startPoint } from './arms.js';
import { openMaterials } from './materials.js';
import type { Point } from './measure.js';
import { goldenDataset, goldenModel, goldenPolicy, proxyModel, sftPolicy } from './protocol.js';
import type { Recipe } from './recipe.js';
import { type StreamAccuracy, streamAccuracy } from './stream.js';

/** What was run with one seed. */
export interface SeedRuns {
  readonly seed: number;
  readonly proxy: Artefact<{ readonly validationAccuracy: number }>;
  readonly online: ArmRun;
  readonly tandem: ArmRun;
  readonly offline: readonly ArmRun[];
  readonly shuffled: readonly ArmRun[];
  /** At the recipe's weak beta. */
  readonly weak: { readonly online: ArmRun; readonly shuffled: ArmRun } | null;
  readonly stream: StreamAccuracy;
}

export interface Runs {
  readonly recipe: Recipe;
  readonly golden: Awaited<ReturnType<typeof goldenModel>>;
  readonly dataset: Awaited<ReturnType<typeof goldenDataset>>;
  readonly ground: Ground;
  readonly start: Point;
  readonly seeds: readonly SeedRuns[];
}

/** Stages of a whole run, for progress. */
export const stageCount = ({ seeds, offline, shuffled, weakBeta }: Recipe): number => {
  const shared = 6; // world, golden model, D_golden, SFT, golden policy, its start measured
  const sweep = offline.betas.length * offline.learningRates.length;
  // Besides: the proxy, the online arm, its tandem, the accuracy along the stream.
  const weak = weakBeta === null ? 0 : 2;
  return shared + seeds.length * (4 + sweep + shuffled.learningRates.length + weak);
};

const isBaseline = (recipe: Recipe) => (run: { readonly arm: Arm }) =>
  run.arm.beta === recipe.arm.beta && run.arm.learningRate === recipe.arm.learningRate;

/** The offline arm that differs from the online one in the source only. */
export const baselineOf = (recipe: Recipe, runs: readonly ArmRun[]): ArmRun =>
  runs.find(isBaseline(recipe)) ?? runs[0]!;

const seedRuns = async (
  study: Study,
  recipe: Recipe,
  ground: Ground,
  { seed, proxy }: Pick<SeedRuns, 'seed' | 'proxy'>,
): Promise<SeedRuns> => {
  const { beta, learningRate } = recipe.arm;
  const run = (arm: Omit<Arm, 'seed'>, online: ArmRun | null = null) =>
    armRun(study, { ...arm, seed }, ground, { proxy, online });
  const weakRuns = async (weakBeta: number): Promise<SeedRuns['weak']> => {
    const arm = { beta: weakBeta, learningRate };
    const own = await run({ ...arm, method: 'online' });
    return { online: own, shuffled: await run({ ...arm, method: 'shuffled' }, own) };
  };
  const online = await run({ method: 'online', beta, learningRate });
  const tandem = await run({ method: 'tandem', beta, learningRate }, online);
  const offline: ArmRun[] = [];
  for (const b of recipe.offline.betas) {
    for (const lr of recipe.offline.learningRates) {
      offline.push(await run({ method: 'offline', beta: b, learningRate: lr }));
    }
  }
  const shuffled: ArmRun[] = [];
  for (const lr of recipe.shuffled.learningRates) {
    shuffled.push(await run({ method: 'shuffled', beta, learningRate: lr }, online));
  }
  const weak = recipe.weakBeta === null ? null : await weakRuns(recipe.weakBeta);
  const compared = { proxy, online, offline: baselineOf(recipe, offline) };
  const { result: stream } = await streamAccuracy(study, ground, seed, compared);
  return { seed, proxy, online, tandem, offline, shuffled, weak, stream };
};

export const runStages = async (study: Study, recipe: Recipe): Promise<Runs> => {
  const materials = await openMaterials(study, recipe);
  const golden = await goldenModel(study, materials);
  const dataset = await goldenDataset(study, materials, golden);
  const start = await sftPolicy(study, materials, dataset);
  const opponent = await goldenPolicy(study, materials, { golden, dataset, start });
  const ground: Ground = { materials, golden, dataset, start, goldenPolicy: opponent };
  const first = await proxyModel(study, materials, dataset, recipe.seeds[0]!);
  const { result: started } = await startPoint(study, ground, first);
  const seeds: SeedRuns[] = [];
  for (const seed of recipe.seeds) {
    const proxy = await proxyModel(study, materials, dataset, seed);
    seeds.push(await seedRuns(study, recipe, ground, { seed, proxy }));
  }
  return { recipe, golden, dataset, ground, start: started.point, seeds };
};
