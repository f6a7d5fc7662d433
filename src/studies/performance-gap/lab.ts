// The laboratory of the performance-gap study: what its experiments ask for arms, data and judges.
import type { FrontierPoint } from '../../evaluation/frontier.js';
import type { Artefact, Stages } from '../study.js';
import { armRun, earlyPolicy } from './arm-run.js';
import { type Arm, type ArmRun, type DataName, canonical, streamOf } from './arms.js';
import { type Ground, startPoint } from './bench.js';
import { type GoldenPolicyResult, goldenPolicy } from './golden-policy.js';
import type { Materials } from './materials.js';
import { type Point, frontierPoint } from './measure.js';
import {
  type DatasetResult,
  type GoldenResult,
  type PreferenceModelResult,
  goldenDataset,
  goldenModel,
  proxyModel,
  sftPolicy,
} from './protocol.js';
import type { Recipe } from './recipe.js';
import { regeneratedPairs } from './regenerated.js';

export interface Lab {
  readonly recipe: Recipe;
  readonly materials: Materials;
  readonly golden: Artefact<GoldenResult>;
  readonly dataset: Artefact<DatasetResult>;
  readonly goldenPolicy: Artefact<GoldenPolicyResult>;
  proxy(seed: number, parameters?: number): Promise<Artefact<PreferenceModelResult>>;
  sft(parameters?: number): Promise<Artefact>;
  /** The SFT policy, measured. */
  start(parameters?: number): Promise<Point>;
  /** Replays find their online arm themselves. */
  arm(arm: Arm): Promise<ArmRun>;
  data(name: DataName, seed: number): Promise<Artefact>;
  /** IPO at the recipe's beta and learning rate. */
  baseline(seed: number): Pick<Arm, 'objective' | 'learningRate' | 'seed'>;
  /** Ground of measurements of a policy of this size. */
  ground(parameters?: number): Promise<Ground>;
  /** For an experiment's own measurements. */
  readonly stage: Stages['stage'];
  /** Every arm that was asked for so far, each once, in order. */
  arms(): readonly ArmRun[];
}

/** Checkpoints of the runs, each with the policy that it began from. */
export const cloud = async (lab: Lab, runs: readonly ArmRun[]): Promise<FrontierPoint[]> => {
  const points: FrontierPoint[] = [];
  for (const { name, arm, result } of runs) {
    const all = [await lab.start(arm.policy), ...result.points];
    points.push(...all.map((point) => frontierPoint(point, name, arm.seed)));
  }
  return points;
};

class StudyLab implements Lab {
  readonly recipe: Recipe;
  readonly materials: Materials;
  readonly golden: Artefact<GoldenResult>;
  readonly dataset: Artefact<DatasetResult>;
  readonly goldenPolicy: Artefact<GoldenPolicyResult>;
  readonly #stages: Stages;
  readonly #arms = new Map<string, ArmRun>();

  constructor(
    stages: Stages,
    { materials, golden, dataset, goldenPolicy: opponent }: Omit<Ground, 'start'> & Labelled,
  ) {
    this.#stages = stages;
    this.materials = materials;
    this.recipe = materials.recipe;
    this.golden = golden;
    this.dataset = dataset;
    this.goldenPolicy = opponent;
  }

  readonly stage: Stages['stage'] = (stage) => this.#stages.stage(stage);

  proxy(seed: number, parameters?: number): Promise<Artefact<PreferenceModelResult>> {
    return proxyModel(this.#stages, this.materials, this.dataset, seed, parameters);
  }

  sft(parameters?: number): Promise<Artefact> {
    return sftPolicy(this.#stages, this.materials, this.dataset, parameters);
  }

  async ground(parameters?: number): Promise<Ground> {
    const { materials, golden, dataset, goldenPolicy: opponent } = this;
    const start = await this.sft(parameters);
    return { materials, golden, dataset, start, goldenPolicy: opponent };
  }

  async start(parameters?: number): Promise<Point> {
    const ground = await this.ground(parameters);
    const proxy = await this.proxy(this.recipe.seeds[0]!);
    return (await startPoint(this.#stages, ground, proxy)).result.point;
  }

  baseline(seed: number): Pick<Arm, 'objective' | 'learningRate' | 'seed'> {
    const { beta, learningRate } = this.recipe.arm;
    return { objective: { name: 'ipo', beta }, learningRate, seed };
  }

  async arm(given: Arm): Promise<ArmRun> {
    const arm = canonical(given, this.recipe);
    const { source, seed } = arm;
    const stream = source.kind === 'replay' ? await this.arm(streamOf(arm)) : null;
    const named = source.kind === 'offline' ? source.data : undefined;
    const run = await armRun(this.#stages, arm, await this.ground(arm.policy), {
      proxy: await this.proxy(seed, arm.proxy),
      stream,
      data: named ? await this.data(named, seed) : null,
    });
    this.#arms.set(run.key, run);
    await this.start(arm.policy); // which clouds begin from
    return run;
  }

  async data(name: DataName, seed: number): Promise<Artefact> {
    const online = await this.arm({ ...this.baseline(seed), source: { kind: 'online' } });
    const ground = await this.ground();
    const policies = { sft: ground.start, early: earlyPolicy(online), end: online };
    return regeneratedPairs(this.#stages, ground, { name, seed, policies, online });
  }

  arms(): readonly ArmRun[] {
    return [...this.#arms.values()];
  }
}

interface Labelled {
  readonly golden: Artefact<GoldenResult>;
  readonly dataset: Artefact<DatasetResult>;
}

/** Makes what all experiments share: the golden model, its labels, the opponent, the proxies. */
export const openLab = async (stages: Stages, materials: Materials): Promise<Lab> => {
  const golden = await goldenModel(stages, materials);
  const dataset = await goldenDataset(stages, materials, golden);
  const start = await sftPolicy(stages, materials, dataset);
  const [opponent] = await Promise.all([
    goldenPolicy(stages, materials, { golden, dataset, start }),
    ...materials.recipe.seeds.map((seed) => proxyModel(stages, materials, dataset, seed)),
  ]);
  return new StudyLab(stages, { materials, golden, dataset, goldenPolicy: opponent });
};
