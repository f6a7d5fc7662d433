// Datasets made by our own policies, after the construction of D4RL: random actions; a policy that is
// stopped early (medium), sampled; all that it saw until then (medium-replay); the best policy of a
// long run (expert); medium and expert in equal parts. They are not D4RL's data.
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '../../checkpoint/json.js';
import { derivedSeed, random } from '../../data/random.js';
import type { EnvSpec } from '../environments/environment.js';
import type { EpisodeStatistics } from '../environments/evaluate.js';
import { describeEnv, makeEnv } from '../environments/make.js';
import { type Collected, collect, uniformPolicy } from './collect.js';
import { type Dataset, hasDataset, readDataset, writeDataset } from './folder.js';
import type { ActingLearner, MakeLearner } from './learner.js';
import {
  type CheckedRecipe,
  type DatasetRecipe,
  cacheName,
  checkRecipe,
  recipeText,
} from './recipe.js';
import { type TeacherProgress, policyOf, trainTeacher } from './teacher.js';
import { joinColumns } from './transitions.js';

export interface BuildProgress extends Partial<TeacherProgress> {
  readonly kind: DatasetRecipe['kind'];
  readonly stage: 'cached' | 'learning' | 'collecting';
}

export interface BuildOptions {
  readonly makeLearner: MakeLearner;
  /** Default ALIGNLAB_CACHE, else ~/.cache/alignlab; datasets lie in `datasets` under it. */
  readonly cacheDir?: string;
  readonly onProgress?: (progress: BuildProgress) => void;
  readonly signal?: AbortSignal;
}

const learnerFile = 'learner.state';

interface Built {
  readonly dataset: Dataset;
  /** Where it lies in the cache. */
  readonly path: string;
}

const describe = (statistics: EpisodeStatistics | null): JsonObject =>
  statistics === null
    ? { episodes: 0 }
    : {
        episodes: statistics.returns.length,
        meanReturn: statistics.meanReturn,
        standardDeviation: statistics.standardDeviation,
        score: statistics.score,
        terminated: statistics.terminated,
      };

interface Site {
  readonly spec: EnvSpec;
  readonly recipe: CheckedRecipe;
  readonly options: BuildOptions;
}

const envOptions = ({ recipe }: Site): { task?: 'stand' | 'move' } =>
  recipe.task ? { task: recipe.task } : {};

const withLearner = async <Result>(
  { spec, recipe, options }: Site,
  work: (learner: ActingLearner) => Promise<Result>,
): Promise<Result> => {
  const { hidden, batch, learningRate, maxSteps } = recipe.builder;
  const request = { hidden, batch, learningRate, seed: recipe.seed, capacity: maxSteps };
  const learner = await options.makeLearner(spec, request);
  try {
    return await work(learner);
  } finally {
    learner.dispose();
  }
};

const buildRandom = async (site: Site): Promise<Dataset> => {
  const { recipe, options } = site;
  using env = await makeEnv(recipe.env, envOptions(site));
  env.seed(derivedSeed(recipe.seed, 'random data'));
  const policy = uniformPolicy(random(recipe.seed, 'random data'));
  options.onProgress?.({ kind: 'random', stage: 'collecting' });
  const collected = await collect(env, policy, recipe.transitions, options.signal);
  return datasetOf(site, collected, {});
};

const datasetOf = (
  { recipe, spec }: Site,
  { columns, statistics }: Collected,
  more: JsonObject,
  extra: ReadonlyMap<string, Uint8Array> = new Map(),
): Dataset => ({
  columns,
  about: {
    note: "Made by alignlab, not D4RL's data: scores compare in kind only.",
    references: { refMin: spec.refMin, refMax: spec.refMax },
    recipe: recipeText(recipe),
    data: describe(statistics),
    ...more,
  },
  extra,
});

/** The replay of a run with the learner's state at its end: medium-replay, or an expert's run. */
const buildReplay = (site: Site, untilScore: number | undefined): Promise<Dataset> =>
  withLearner(site, async (learner) => {
    const { recipe, options } = site;
    using env = await makeEnv(recipe.env, envOptions(site));
    using evaluationEnv = await makeEnv(recipe.env, envOptions(site));
    const teacher = await trainTeacher({
      env,
      evaluationEnv,
      learner,
      builder: recipe.builder,
      seed: derivedSeed(recipe.seed, 'teacher'),
      ...(untilScore === undefined ? {} : { untilScore }),
      ...(options.signal ? { signal: options.signal } : {}),
      onProgress: (progress) => {
        options.onProgress?.({ kind: recipe.kind, stage: 'learning', ...progress });
      },
    });
    const collected = { columns: teacher.replay, statistics: teacher.rollout.statistics() };
    const policy = { step: teacher.step, curve: teacher.curve };
    return datasetOf(site, collected, { policy }, new Map([[learnerFile, teacher.state]]));
  });

/** Samples of the policy whose state a replay holds. */
const buildSamples = async (site: Site, replay: Built): Promise<Dataset> => {
  const { recipe, options } = site;
  const collected = await withLearner(site, async (learner) => {
    learner.restore(replay.dataset.extra.get(learnerFile)!);
    using env = await makeEnv(recipe.env, envOptions(site));
    env.seed(derivedSeed(recipe.seed, recipe.kind));
    options.onProgress?.({ kind: recipe.kind, stage: 'collecting' });
    return await collect(env, policyOf(learner, 'sample'), recipe.transitions, options.signal);
  });
  return datasetOf(site, collected, { policy: replay.dataset.about.policy });
};

const buildMixture = async (site: Site): Promise<Dataset> => {
  const half = Math.floor(site.recipe.transitions / 2);
  const part = (kind: 'medium' | 'expert', transitions: number): Promise<Built> =>
    cached({ ...site, recipe: { ...site.recipe, kind, transitions } });
  const medium = await part('medium', half);
  const expert = await part('expert', site.recipe.transitions - half);
  const columns = joinColumns(medium.dataset.columns, expert.dataset.columns);
  const [first, second] = [medium.dataset.about, expert.dataset.about];
  return datasetOf(
    site,
    { columns, statistics: null },
    {
      data: { medium: first.data, expert: second.data },
      policy: { medium: first.policy, expert: second.policy },
    },
  );
};

const build = async (site: Site): Promise<Dataset> => {
  const { recipe } = site;
  if (recipe.kind === 'random') return buildRandom(site);
  if (recipe.kind === 'medium-replay') return buildReplay(site, recipe.mediumScore);
  if (recipe.kind === 'medium-expert') return buildMixture(site);
  if (recipe.kind === 'medium') {
    return buildSamples(
      site,
      await cached({ ...site, recipe: { ...recipe, kind: 'medium-replay' } }),
    );
  }
  const run = await buildReplay(site, undefined);
  return buildSamples(site, { dataset: run, path: '' });
};

const cacheFolder = ({ cacheDir }: BuildOptions): string =>
  join(cacheDir ?? process.env.ALIGNLAB_CACHE ?? join(homedir(), '.cache/alignlab'), 'datasets');

const cached = async (site: Site): Promise<Built> => {
  const path = join(cacheFolder(site.options), cacheName(site.recipe, site.spec));
  if (await hasDataset(path)) {
    site.options.onProgress?.({ kind: site.recipe.kind, stage: 'cached' });
  } else {
    await writeDataset(path, site.spec, await build(site));
  }
  return { path, dataset: await readDataset(path, site.spec) };
};

/**
 * The dataset of a recipe: from the cache, or built into it. The same recipe gives the same data.
 * @throws OPTION_INVALID; RUN_INVALID where the policy does not become good enough; DATA_INVALID
 *   where the cached folder is damaged; ADDON_NOT_FOUND without @mujoco/mujoco
 */
export const buildDataset = async (
  recipe: DatasetRecipe,
  options: BuildOptions,
): Promise<Built> => {
  const checked = checkRecipe(recipe);
  const task = checked.task ? { task: checked.task } : {};
  const spec = await describeEnv(checked.env, task);
  return cached({ spec, recipe: checked, options });
};
