// The real system's data: made by SAC that learns in it, kept with the study.
import { relative, join } from 'node:path';
import {
  type DatasetRecipe,
  type EnvOptions,
  type EnvSpec,
  type TransitionColumns,
  actingLearner,
  buildDataset,
  createLearner,
  describeEnv,
  makeEnv,
  readDataset,
  sacMaker,
  sampleColumns,
  wheelLeggedReal,
  writeDataset,
} from '../../control/index.js';
import { trainTeacher } from '../../control/data/teacher.js';
import { builderDefaults } from '../../control/data/teacher.js';
import { derivedSeed } from '../../data/random.js';
import type { Artefact, StageContext, Stages } from '../study.js';
import { type Arm, changesFor } from './arms.js';
import type { DataRecipe, Locomotion, Task, WheelLeggedRecipe } from './recipe.js';

export interface DatasetResult extends Readonly<Record<string, unknown>> {
  /** Of the dataset in the stage's folder. */
  readonly path: string;
  readonly transitions: number;
  /** Of the episodes in it: their number, mean return, and its score. */
  readonly about: unknown;
}

const makeLearner = sacMaker((options) =>
  actingLearner(createLearner({ ...options, device: 'cpu' })),
);

const recipeOf = ({ env, data }: Locomotion, kind: DataRecipe['kinds'][number]): DatasetRecipe => ({
  env,
  kind,
  seed: BigInt(data.seed),
  ...(kind === 'medium-replay' ? {} : { transitions: data.transitions }),
  ...(kind === 'random' ? {} : { builder: data.builder }),
  ...(kind === 'random' || kind === 'expert' ? {} : { medium: { score: data.mediumScore } }),
});

/** Arms wait for it. */
const weight = Infinity;

export const locomotionData = (
  stages: Stages,
  locomotion: Locomotion,
  kind: DataRecipe['kinds'][number],
): Promise<Artefact<DatasetResult>> => {
  const { kinds: _, ...settings } = locomotion.data;
  return stages.stage({
    name: `data of ${locomotion.env}, ${kind}`,
    settings: { env: locomotion.env, kind, ...settings, builder: { ...settings.builder } },
    weight,
    run: async ({ folder, signal, tick }) => {
      const maxSteps = settings.builder.maxSteps ?? builderDefaults.maxSteps;
      const built = await buildDataset(recipeOf(locomotion, kind), {
        makeLearner,
        cacheDir: folder,
        ...(signal ? { signal } : {}),
        onProgress: ({ step = 0 }) => {
          tick(step, maxSteps);
        },
      });
      const { columns, about } = built.dataset;
      return { path: relative(folder, built.path), transitions: columns.n, about };
    },
  });
};

const learnOnRobot = async (
  task: Task,
  { sizes, dataSteps, actionRepeat, learner: changes }: WheelLeggedRecipe,
  { folder, signal, tick }: StageContext,
): Promise<DatasetResult> => {
  const options = { gap: wheelLeggedReal, task, actionRepeat };
  using env = await makeEnv('WheelLegged', options);
  using evaluationEnv = await makeEnv('WheelLegged', options);
  const seed = derivedSeed(1, 'wheel-legged data', task);
  const { obsDim, actDim } = env.spec;
  using learner = createLearner({
    algorithm: 'sac',
    device: 'cpu',
    obsDim,
    actDim,
    ...sizes,
    ...changesFor('sac', changes[task]),
    seeds: [seed],
    capacity: dataSteps,
  });
  const teacher = await trainTeacher({
    env,
    evaluationEnv,
    learner: actingLearner(learner),
    builder: {
      ...builderDefaults,
      ...sizes,
      maxSteps: dataSteps,
      warmup: Math.min(2000, dataSteps),
    },
    seed,
    ...(signal ? { signal } : {}),
    onProgress: ({ step }) => {
      tick(step, dataSteps);
    },
  });
  const about = { curve: teacher.curve.map(({ step, score }) => ({ step, score })) };
  const path = 'data';
  const dataset = { columns: teacher.replay, about, extra: new Map<string, Uint8Array>() };
  await writeDataset(join(folder, path), env.spec, dataset);
  return { path, transitions: teacher.replay.n, about };
};

/** All that SAC met while it learned on the real robot. */
export const wheelLeggedData = (
  stages: Stages,
  recipe: WheelLeggedRecipe,
  task: Task,
): Promise<Artefact<DatasetResult>> => {
  const { sizes, dataSteps, actionRepeat, learner } = recipe;
  return stages.stage({
    name: `data of the wheel-legged robot, ${task}`,
    settings: {
      task,
      sizes: { ...sizes },
      learner: { ...learner[task] },
      dataSteps,
      actionRepeat,
      gap: { ...wheelLeggedReal },
    },
    weight,
    run: (context) => learnOnRobot(task, recipe, context),
  });
};

/** What an arm's environments are told, all but their gaps. */
export const envOptionsOf = ({ task, actionRepeat }: Arm): Omit<EnvOptions, 'gap'> => ({
  ...(task ? { task } : {}),
  ...(actionRepeat === undefined ? {} : { actionRepeat }),
});

export const specOf = (arm: Arm): Promise<EnvSpec> => describeEnv(arm.env, envOptionsOf(arm));

/** The part of the data that the arm learns from. */
export const transitionsOf = async (
  arm: Arm,
  data: Artefact<DatasetResult>,
): Promise<TransitionColumns> => {
  const { columns } = await readDataset(join(data.folder, data.result.path), await specOf(arm));
  const { fraction } = arm.data!;
  if (fraction === undefined) return columns;
  return sampleColumns(columns, Math.max(1, Math.round(fraction * columns.n)), 1);
};
