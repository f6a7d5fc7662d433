// Runs an arm and measures it at its checkpoints.
import { join } from 'node:path';
import type { JsonObject } from '../../checkpoint/json.js';
import { derivedSeed } from '../../data/random.js';
import { AlignlabError } from '../../errors.js';
import { adamW } from '../../training/optimizer.js';
import type { Recorder } from '../../training/run.js';
import { train } from '../../training/train.js';
import type { Artefact, StageContext, Stages } from '../study.js';
import { type ArmParts, armParts } from './arm-parts.js';
import {
  type Arm,
  type ArmResult,
  type ArmRun,
  earlyStep,
  evaluationSteps,
  isTandem,
  nameOf,
} from './arms.js';
import { type Ground, groundInputs, openBench } from './bench.js';
import { loadModel, saveModel } from './materials.js';
import { type Bench, type Point, type Sample, measure, measureSelf } from './measure.js';

/** What an arm needs besides the common ground. */
export interface ArmInputs {
  readonly proxy: Artefact;
  /** The online arm whose stream is replayed. */
  readonly stream: ArmRun | null;
  /** Of an offline arm, instead of D_golden. */
  readonly data: Artefact | null;
}

const earlyName = 'early';

/** The policy of an online arm at a fifth of its steps, as an artefact to load a model from. */
export const earlyPolicy = (online: Artefact): Artefact => ({
  ...online,
  folder: join(online.folder, earlyName),
});

/** Keeps the manifest and nothing else. */
const keeper = (keep: (manifest: JsonObject) => void): Recorder => {
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    begin: (manifest) => {
      keep(manifest);
      return nothing();
    },
    logStep: nothing,
    logEvaluation: nothing,
    saveCheckpoint: nothing,
    restore: () => Promise.resolve(null),
    end: nothing,
  };
};

type Policy = Awaited<ReturnType<typeof loadModel>>;

const trainArm = async (
  arm: Arm,
  policy: Policy,
  { source, objective, options }: ArmParts,
  bench: Bench,
  { folder, signal, tick }: StageContext,
): Promise<ArmResult> => {
  const { materials } = bench;
  const { batchSize, steps: usual } = materials.recipe.arm;
  const { learningRate, steps = usual } = arm;
  const points: Point[] = [];
  const losses: number[] = [];
  let manifest: JsonObject = {};
  let samples: readonly Sample[] = [];
  let collapsed: ArmResult['collapsed'] = null;
  const seed = derivedSeed(arm.seed, 'evaluation');
  const evaluate = async (step: number): Promise<void> => {
    const found = await measure(policy, { step, seed }, bench);
    points.push(found.point);
    ({ samples } = found);
  };
  // The tandem run ends in the weights of the online one, or has failed: no need to measure it.
  const measured = !isTandem(arm);
  const run = train({
    policy,
    ...(objective.needs.reference ? { reference: bench.start } : {}),
    source,
    objective,
    optimizer: adamW({ learningRate }),
    steps,
    batchSize,
    schedule: { type: 'constant' },
    recorder: keeper((found) => (manifest = found)),
    evaluate: {
      every: measured ? evaluationSteps(materials.recipe, steps) : [],
      run: async ({ step }) => {
        await evaluate(step);
        return {};
      },
    },
    ...options,
    ...(signal ? { signal } : {}),
  });
  const early = arm.source.kind === 'online' ? earlyStep(steps) : 0;
  try {
    for await (const { index, loss } of run) {
      losses.push(loss);
      tick(index, steps);
      if (index === early) await saveModel(policy, materials, join(folder, earlyName));
    }
  } catch (error) {
    // A policy that writes one response only gives no more pairs: a finding, not a failure.
    if (!(error instanceof AlignlabError && error.code === 'JUDGE_UNDECIDED')) throw error;
    collapsed = { step: losses.length, reason: error.message };
    if (measured && points.at(-1)?.step !== losses.length) await evaluate(losses.length);
  }
  const self = measured ? await measureSelf(policy, seed, bench) : null;
  await saveModel(policy, materials, folder);
  return { arm, manifest, points, losses, collapsed, self, samples };
};

const runArm = async (
  arm: Arm,
  ground: Ground,
  { proxy, stream, data }: ArmInputs,
  context: StageContext,
): Promise<ArmResult> => {
  const { materials, start } = ground;
  const { folder } = context;
  const [bench, pairs, close] = await openBench(ground, proxy);
  try {
    await using policy = await loadModel(start, materials, true);
    const collapsed = stream?.result.collapsed;
    // In its own order a stream ends where its policy has collapsed.
    const run = isTandem(arm) && collapsed ? { ...arm, steps: collapsed.step } : arm;
    const parts = await armParts(arm, { policy, start, pairs, bench, folder, stream, data });
    try {
      return await trainArm(run, policy, parts, bench, context);
    } finally {
      await parts.close();
    }
  } finally {
    await close();
  }
};

/** As a stage; `arm` is canonical. */
export const armRun = async (
  stages: Stages,
  arm: Arm,
  ground: Ground,
  inputs: ArmInputs,
): Promise<ArmRun> => {
  const { arm: baseline, evaluation } = ground.materials.recipe;
  const { proxy, stream, data } = inputs;
  const used = [stream, data].filter((input) => input !== null);
  const artefact = await stages.stage<ArmResult>({
    name: nameOf(arm),
    settings: {
      arm: { ...arm },
      baseline: { ...baseline },
      evaluation: { ...evaluation },
    },
    inputs: [...groundInputs(ground), proxy, ...used],
    run: (context) => runArm(arm, ground, inputs, context),
  });
  return { ...artefact, arm };
};
