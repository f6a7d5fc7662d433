// Arms that several experiments look at, and what their figures have in common.
import type { FrontierPoint } from '../../../evaluation/frontier.js';
import { type Arm as ChartArm, armOverSeeds, frontierCloud } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Arm, ArmObjective, ArmRun } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import type { Point } from '../measure.js';
import { ofPeaks } from '../peaks.js';

/** Smallest difference of win rates that counts. */
export const delta = 0.03;

export const decimals = (value: number): string => value.toFixed(3);

export const klAxis = { title: 'KL from the start policy', unit: 'nats' } as const;
export const winRateAxis = { title: 'win rate against the golden policy' } as const;
export const stepAxis = { title: 'optimiser steps' } as const;
export const band = 'Lines are means over seeds; bands go from the lowest to the highest seed.';

export const onlineArm = (lab: Lab, seed: number): Promise<ArmRun> =>
  lab.arm({ ...lab.baseline(seed), source: { kind: 'online' } });

/** The offline arm that differs from the online one in the source only. */
export const offlineArm = (lab: Lab, seed: number): Promise<ArmRun> =>
  lab.arm({ ...lab.baseline(seed), source: { kind: 'offline' } });

/** All combinations of the recipe, on D_golden. */
export const offlineSweep = async (lab: Lab, seed: number): Promise<readonly ArmRun[]> => {
  const { offline, arm } = lab.recipe;
  const runs: ArmRun[] = [];
  for (const times of offline.steps) {
    for (const beta of offline.betas) {
      for (const learningRate of offline.learningRates) {
        runs.push(
          await lab.arm({
            source: { kind: 'offline' },
            objective: { name: 'ipo', beta },
            learningRate,
            seed,
            steps: Math.round(times * arm.steps),
          }),
        );
      }
    }
  }
  return runs;
};

const shuffled = async (lab: Lab, seed: number, learningRate: number): Promise<ArmRun> => {
  const baseline = lab.baseline(seed);
  const { objective } = baseline;
  const stream = { objective, learningRate: baseline.learningRate };
  const source = { kind: 'replay', order: 'shuffled', stream } as const;
  return lab.arm({ ...baseline, learningRate, source });
};

/** The shuffled stream at the baseline's settings. */
export const shuffledArm = (lab: Lab, seed: number): Promise<ArmRun> =>
  shuffled(lab, seed, lab.recipe.arm.learningRate);

/** At all learning rates of the recipe. */
export const shuffledSweep = async (lab: Lab, seed: number): Promise<readonly ArmRun[]> => {
  const runs: ArmRun[] = [];
  for (const rate of lab.recipe.shuffled.learningRates) {
    runs.push(await shuffled(lab, seed, rate));
  }
  return runs;
};

export interface Regime<Item> {
  readonly online: Item;
  readonly offline: Item;
  readonly shuffled: Item;
}

/** Online, offline and shuffled under another objective, at the baseline's learning rate. */
export const regimeArms = async (
  lab: Lab,
  seed: number,
  objective: ArmObjective,
): Promise<Regime<ArmRun>> => {
  const of = (source: Arm['source']): Promise<ArmRun> =>
    lab.arm({ ...lab.baseline(seed), objective, source });
  return {
    online: await of({ kind: 'online' }),
    offline: await of({ kind: 'offline' }),
    shuffled: await of({ kind: 'replay', order: 'shuffled' }),
  };
};

export type Cloud = readonly FrontierPoint[];

/** Of all seeds. */
export const regimeClouds = async (
  lab: Lab,
  found: readonly Regime<readonly ArmRun[]>[],
): Promise<Regime<Cloud>> => ({
  online: await cloud(
    lab,
    found.flatMap(({ online }) => online),
  ),
  offline: await cloud(
    lab,
    found.flatMap(({ offline }) => offline),
  ),
  shuffled: await cloud(
    lab,
    found.flatMap((each) => each.shuffled),
  ),
});

export const singly = ({ online, offline, shuffled: third }: Regime<ArmRun>) => ({
  online: [online],
  offline: [offline],
  shuffled: [third],
});

/** The best win rate of a cloud, without the bias of choosing by the same noise. */
export const peakText = (points: Cloud): string =>
  decimals(ofPeaks([points], ([value]) => value!).value);

export const worldText = ({ recipe: { seeds, world } }: Lab): string =>
  `, ${seeds.length} seed${seeds.length === 1 ? '' : 's'}` +
  (world === null ? '' : `, world ${world}`);

/** Runs, one of each seed, over their steps. */
export const overSteps = (
  label: string,
  start: Point,
  runs: readonly ArmRun[],
  of: (point: Point) => number,
): ChartArm =>
  armOverSeeds(
    label,
    runs.map(({ result }) =>
      [start, ...result.points].map((point) => ({ x: point.step, y: of(point) })),
    ),
  );

type FigureText = Pick<ReportFigure, 'name' | 'title' | 'caption' | 'claim' | 'signatures'>;

/** Win rate against KL of online, offline and shuffled. */
export const frontierFigure = async (
  text: FigureText,
  clouds: Regime<Cloud>,
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'scatter',
    name: text.name,
    x: klAxis,
    y: winRateAxis,
    clouds: [
      frontierCloud('online', clouds.online),
      frontierCloud('offline', clouds.offline),
      frontierCloud('shuffled online', clouds.shuffled),
    ],
  })),
  ...text,
});
