// The study of Tang et al. 2024, "Understanding the performance gap between online and offline
// alignment algorithms" (arXiv 2405.08448): all stages, in order.
import type { Artefact, Study } from '../study.js';
import { type Arm, type ArmRun, type Ground, armRun, startPoint } from './arms.js';
import { openMaterials } from './materials.js';
import type { Point } from './measure.js';
import { goldenPolicy } from './golden-policy.js';
import { goldenDataset, goldenModel, proxyModel, sftPolicy } from './protocol.js';
import type { Recipe } from './recipe.js';
import { endVersusEnd } from './regenerated.js';
import { type StreamAccuracy, streamAccuracy } from './stream.js';

type Regime = 'online' | 'offline' | 'shuffled';

/** What was run with one seed. */
export interface SeedRuns {
  readonly seed: number;
  readonly proxy: Artefact<{ readonly validationAccuracy: number }>;
  readonly online: ArmRun;
  readonly tandem: ArmRun;
  readonly offline: readonly ArmRun[];
  readonly shuffled: readonly ArmRun[];
  /** At the recipe's weak beta. */
  readonly weak: Readonly<Record<Regime, ArmRun>> | null;
  readonly bestOf2: Readonly<Record<Regime, ArmRun>> | null;
  /** Offline on data of the final online policy. */
  readonly endVersusEnd: readonly ArmRun[];
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
export const stageCount = (recipe: Recipe): number => {
  const { seeds, offline, shuffled, weakBeta, bestOf2, endVersusEnd: regenerated } = recipe;
  const shared = 6; // world, golden model, D_golden, SFT, golden policy, its start measured
  const sweep = offline.betas.length * offline.learningRates.length;
  // Besides: the proxy, the online arm, its tandem, the accuracy along the stream.
  const weak = weakBeta === null ? 0 : 3;
  const replays = shuffled.learningRates.length;
  const own = regenerated.learningRates.length;
  const extra = weak + (bestOf2 ? 3 : 0) + (own > 0 ? own + 1 : 0);
  return shared + seeds.length * (4 + sweep + replays + extra);
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
  const regime = async (arm: Omit<Arm, 'seed' | 'method'>): Promise<Record<Regime, ArmRun>> => {
    const own = await run({ ...arm, method: 'online' });
    return {
      online: own,
      offline: await run({ ...arm, method: 'offline' }),
      shuffled: await run({ ...arm, method: 'shuffled' }, own),
    };
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
  const { weakBeta } = recipe;
  const weak = weakBeta === null ? null : await regime({ beta: weakBeta, learningRate });
  const bestOf2 = recipe.bestOf2 ? await regime({ objective: 'bo2', beta, learningRate }) : null;
  const regenerated: ArmRun[] = [];
  for (const lr of recipe.endVersusEnd.learningRates) {
    const data = await endVersusEnd(study, ground, online, seed);
    const arm = { method: 'offline', data: 'end-vs-end', beta, learningRate: lr, seed } as const;
    regenerated.push(await armRun(study, arm, ground, { proxy, online: null, data }));
  }
  const compared = { proxy, online, offline: baselineOf(recipe, offline) };
  const { result: stream } = await streamAccuracy(study, ground, seed, compared);
  const extra = { weak, bestOf2, endVersusEnd: regenerated };
  return { seed, proxy, online, tandem, offline, shuffled, ...extra, stream };
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
