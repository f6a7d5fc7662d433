// The stage that trains an arm: its curve, what its weights say at the end, and its policies.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { JsonObject } from '../../checkpoint/json.js';
import { type Env, Learner, makeEnv, trainOffDynamics } from '../../control/index.js';
import type { Algorithm, DynamicsGap, TrainingEvaluation } from '../../control/index.js';
import { contentHash } from '../../data/content-hash.js';
import { writeWhole } from '../../files.js';
import type { Artefact, StageContext, Stages } from '../study.js';
import type { Arm } from './arms.js';
import { type DatasetResult, envOptionsOf, specOf, transitionsOf } from './datasets.js';
import { type Reading, readMember } from './instruments.js';
import type { Recipe } from './recipe.js';

export interface TrainingStageResult extends Readonly<Record<string, unknown>> {
  readonly curve: readonly TrainingEvaluation[];
  /** Of each member, at the end. */
  readonly readings: readonly Reading[];
}

export interface Run extends Artefact<TrainingStageResult> {
  readonly arm: Arm;
  readonly data: Artefact<DatasetResult> | null;
  readonly device: Recipe['device'];
}

const policyFile = 'policy.state';
const saveEvery = 20_000;
const readingCount = 4000;

/** Where an observation has the body's forward speed. */
const speedIndex = { HalfCheetah: 8, Walker2d: 8, Hopper: 5, Pendulum: 2, WheelLegged: 1 } as const;

/** @param seconds of an episode; default as the environment has it */
export const makeArmEnv = async (arm: Arm, gap: DynamicsGap, seconds?: number): Promise<Env> => {
  const options = { gap, ...envOptionsOf(arm) };
  const { env } = arm;
  if (seconds === undefined) return makeEnv(env, options);
  const { stepSeconds } = await specOf(arm);
  return makeEnv(env, { ...options, maxEpisodeSteps: Math.round(seconds / stepSeconds) });
};

const learnerOf = async (
  { arm, data, device }: Pick<Run, 'arm' | 'data' | 'device'>,
  seeds: readonly number[],
): Promise<Learner> => {
  const { obsDim, actDim } = await specOf(arm);
  const { algorithm, h2o, sizes, learner } = arm;
  const changes = { ...sizes, ...learner, ...(h2o ? { h2o } : {}) };
  const options = { algorithm, device, obsDim, actDim, seeds, ...changes };
  return data ? new Learner(options, await transitionsOf(arm, data)) : new Learner(options);
};

const ifThere = async (path: string): Promise<Uint8Array | undefined> =>
  readFile(path).catch(() => undefined);

interface Job extends Pick<Run, 'arm' | 'data' | 'device'> {
  readonly seeds: readonly number[];
  readonly bins: number;
  /** Where a training that is under way keeps its state. */
  readonly unfinished: string;
}

const saverOf = (path: string) => async (state: Uint8Array) => {
  await mkdir(dirname(path), { recursive: true });
  await writeWhole(path, state);
};

interface World {
  readonly sim: readonly Env[];
  readonly real: Env;
  readonly learner: Learner;
}

/** Gives everything that was opened back, also where opening fails half-way. */
const withWorld = async <Result>(
  job: Job,
  work: (world: World) => Promise<Result>,
): Promise<Result> => {
  const { arm, seeds } = job;
  const opened: Disposable[] = [];
  const keep = <Part extends Disposable>(part: Part): Part => {
    opened.push(part);
    return part;
  };
  try {
    const sim: Env[] = [];
    // CQL sees no simulator.
    for (const _seed of arm.algorithm === 'cql' ? [] : seeds) {
      sim.push(keep(await makeArmEnv(arm, arm.sim)));
    }
    const real = keep(await makeArmEnv(arm, arm.real));
    return await work({ sim, real, learner: keep(await learnerOf(job, seeds)) });
  } finally {
    for (const part of opened.reverse()) part[Symbol.dispose]();
  }
};

/** Of one training, in turn: each goes on from the state of the one before. */
const partsOf = (arm: Arm): { readonly before: readonly Arm[]; readonly last: Arm } => {
  const { slower, ...plan } = arm.plan;
  if (!slower) return { before: [], last: arm };
  const { from, learningRate } = slower;
  return {
    before: [{ ...arm, plan: { ...plan, steps: from } }],
    last: { ...arm, plan, sizes: { ...arm.sizes, learningRate } },
  };
};

const improve = async (
  { learner, sim, real }: World,
  { arm, unfinished }: Job,
  every: number,
  onStep: (step: number) => void,
  signal: AbortSignal | undefined,
): Promise<readonly TrainingEvaluation[]> => {
  const state = await ifThere(unfinished);
  const { curve } = await trainOffDynamics({
    learner,
    sim,
    real,
    ...arm.plan,
    ...(state ? { state } : {}),
    saveEvery: every,
    save: saverOf(unfinished),
    ...(signal ? { signal } : {}),
    onEvaluation: ({ step }) => {
      onStep(step);
    },
  });
  return curve;
};

const train = async (
  job: Job,
  { folder, signal, tick }: StageContext,
): Promise<TrainingStageResult> => {
  const { arm, seeds, bins } = job;
  const { before, last } = partsOf(arm);
  const onStep = (step: number): void => {
    tick(step, arm.plan.steps);
  };
  for (const part of before) {
    const own = { ...job, arm: part };
    const { steps } = part.plan;
    // Its end is saved, since the next part begins there.
    const every = steps % saveEvery === 0 ? saveEvery : steps;
    await withWorld(own, (world) => improve(world, own, every, onStep, signal));
  }
  const own = { ...job, arm: last };
  return withWorld(own, async (world) => {
    const curve = await improve(world, own, saveEvery, onStep, signal);
    const options = { count: readingCount, feature: speedIndex[arm.env], bins };
    const readings = seeds.map((_seed, member) => readMember(world.learner, member, options));
    await writeFile(join(folder, policyFile), world.learner.state({ transitions: false }));
    return { curve, readings };
  });
};

/** Of an update, about: of SAC's, as measured. */
const updateCosts: Readonly<Record<Algorithm, number>> = {
  sac: 1,
  mix: 1,
  darc: 2,
  'darc+': 2,
  h2o: 2,
  cql: 12,
};

/** About how long it takes. */
const weightOf = ({ algorithm, plan, sizes: { hidden, batch } }: Arm): number =>
  updateCosts[algorithm] * plan.steps * batch * Math.max(...hidden) ** 2;

/** What decides the result of an arm. Keys from before there was a choice are the CPU's. */
const settingsOf = (
  { name: _, ...arm }: Arm,
  { seeds, device }: Pick<TrainingHost, 'seeds' | 'device'>,
): JsonObject =>
  JSON.parse(
    JSON.stringify({ ...arm, seeds, ...(device === 'cpu' ? {} : { device }) }),
  ) as JsonObject;

export interface TrainingHost {
  readonly stages: Stages;
  /** Of the study. */
  readonly folder: string;
  readonly seeds: readonly number[];
  readonly bins: number;
  readonly device: Recipe['device'];
}

/** Trains all seeds at once. One that is killed goes on from its last saved state. */
export const trainArm = async (
  { stages, folder, seeds, bins, device }: TrainingHost,
  arm: Arm,
  data: Artefact<DatasetResult> | null,
): Promise<Run> => {
  const settings = { ...settingsOf(arm, { seeds, device }), bins };
  const key = contentHash(JSON.stringify(settings), data?.key ?? '');
  const unfinished = join(folder, 'unfinished', `${key}.state`);
  const artefact = await stages.stage<TrainingStageResult>({
    name: arm.name,
    settings,
    ...(data ? { inputs: [data] } : {}),
    weight: weightOf(arm),
    run: (context) => train({ arm, seeds, data, device, bins, unfinished }, context),
  });
  if (artefact.folder !== '') await rm(unfinished, { force: true });
  return { ...artefact, arm, data, device };
};

/** The trained ensemble of a run, without its simulated transitions. */
export const openPolicies = async (run: Run, seeds: readonly number[]): Promise<Learner> => {
  const learner = await learnerOf(run, seeds);
  try {
    learner.restore(await readFile(join(run.folder, policyFile)));
    return learner;
  } catch (cause) {
    learner.dispose();
    throw cause;
  }
};
