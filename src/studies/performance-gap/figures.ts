// The study's figures, from its runs.
import { mean } from '../../evaluation/statistics.js';
import {
  type Arm as ChartArm,
  type Point as ChartPoint,
  armOverSeeds,
  frontierCloud,
} from '../../report/chart.js';
import { renderChart } from '../../report/charts.js';
import type { ReportFigure } from '../../report/report.js';
import type { ArmRun } from './arms.js';
import type { Point } from './measure.js';
import { type Runs, baselineOf } from './run.js';
import { type Clouds, cloudsOf } from './clouds.js';

const curve = (start: Point, run: ArmRun, of: (point: Point) => number): ChartPoint[] =>
  [start, ...run.result.points].map((point) => ({ x: point.step, y: of(point) }));

/** Online, shuffled and offline at the baseline's settings, over the steps. */
const baselineArms = ({ recipe, seeds, start }: Runs, of: (point: Point) => number): ChartArm[] => [
  armOverSeeds(
    'online',
    seeds.map(({ online }) => curve(start, online, of)),
  ),
  armOverSeeds(
    'offline',
    seeds.map(({ offline }) => curve(start, baselineOf(recipe, offline), of)),
  ),
  armOverSeeds(
    'shuffled online',
    seeds.map(({ shuffled }) => curve(start, baselineOf(recipe, shuffled), of)),
  ),
];

const klAxis = { title: 'KL from the start policy', unit: 'nats' } as const;
const winRateAxis = { title: 'win rate against the golden policy' } as const;
const stepAxis = { title: 'optimiser steps' } as const;
const band = 'Lines are means over seeds; bands go from the lowest to the highest seed.';

const gapFigure = async (runs: Runs): Promise<ReportFigure> => {
  const { online, offline } = cloudsOf(runs);
  const clouds = [frontierCloud('online', online), frontierCloud('offline', offline)];
  return {
    ...(await renderChart({
      kind: 'scatter',
      name: 'fig-1-kl-win-rate',
      x: klAxis,
      y: winRateAxis,
      clouds,
    })),
    title: 'KL against win rate, online and offline',
    caption:
      'Each point is a checkpoint: of the one online configuration, and of all offline ones. ' +
      'Stairs are the best win rate within a budget of KL.',
    claim:
      'Both arms first rise and then fall with KL; at equal KL online is higher, and so is its peak.',
    signatures: ['S1.1', 'S1.2', 'S1.6a', 'S1.6b'],
  };
};

const shuffledFigures = async (runs: Runs): Promise<ReportFigure[]> => {
  const clouds = cloudsOf(runs);
  const { recipe } = runs;
  const draw = async (
    name: string,
    [online, shuffled]: readonly [Clouds['online'], Clouds['online']],
    beta: number,
  ): Promise<ReportFigure> => ({
    ...(await renderChart({
      kind: 'scatter',
      name,
      x: klAxis,
      y: winRateAxis,
      clouds: [
        frontierCloud('online', online),
        frontierCloud('offline', clouds.offline),
        frontierCloud('shuffled online', shuffled),
      ],
    })),
    title: `The online stream, shuffled (beta ${beta})`,
    caption:
      "Offline training on the online arm's own pairs in shuffled order, beside the whole offline " +
      'sweep. In their own order the same pairs give the online policy again, bit for bit (S1.3), ' +
      'so that run needs no points.',
    claim:
      'Shuffled online data are little better than D_golden: coverage does not explain the gap.',
    signatures: beta === recipe.arm.beta ? ['S1.3', 'S1.4'] : ['S1.4b'],
  });
  const { weakBeta } = recipe;
  const { online, shuffled, weakOnline, weakShuffled } = clouds;
  return [
    await draw('fig-4-shuffled', [online, shuffled], recipe.arm.beta),
    ...(weakBeta === null
      ? []
      : [await draw('fig-4-shuffled-weak', [weakOnline, weakShuffled], weakBeta)]),
  ];
};

const streamFigure = async ({ seeds }: Runs): Promise<ReportFigure> => {
  const arm = (label: string, of: 'proxy' | 'online' | 'offline'): ChartArm => ({
    label,
    points: places(seeds.map(({ stream }) => stream.places)).map((group) => {
      const values = group.map((place) => place[of]);
      return {
        x: mean(group.map(({ step }) => step)),
        y: mean(values),
        low: Math.min(...values),
        high: Math.max(...values),
      };
    }),
  });
  return {
    ...(await renderChart({
      kind: 'lines',
      name: 'fig-6-stream-accuracy',
      x: { title: 'step of the online run' },
      y: { title: 'accuracy', include: [0.5] },
      references: [{ y: 0.5, label: 'chance' }],
      arms: [
        arm('proxy preference model', 'proxy'),
        arm('final online policy', 'online'),
        arm('final offline policy', 'offline'),
      ],
    })),
    title: 'Who can tell the better of two online samples?',
    caption: `Accuracy on pairs along the online stream, as the golden model orders them. ${band}`,
    claim: 'The proxy is clearly best and decays along the stream; both policies are near chance.',
    signatures: ['S1.8c', 'S1.10'],
  };
};

/** The i-th places of all seeds together. */
const places = <Place>(seeds: readonly (readonly Place[])[]): Place[][] =>
  (seeds[0] ?? []).map((_, i) => seeds.map((own) => own[i]!));

const accuracyFigure = async (runs: Runs): Promise<ReportFigure> => {
  const cloud = (label: string, all: readonly ArmRun[]) => ({
    label,
    points: all.flatMap(({ name, result }) =>
      result.points.map((point) => ({
        x: point.accuracy,
        y: point.winRate,
        note: `${name}, step ${point.step}`,
      })),
    ),
  });
  const { recipe, seeds } = runs;
  return {
    ...(await renderChart({
      kind: 'scatter',
      name: 'fig-7-accuracy-win-rate',
      x: { title: 'accuracy on D_golden', include: [0.5] },
      y: winRateAxis,
      clouds: [
        cloud(
          'online',
          seeds.map(({ online }) => online),
        ),
        cloud(
          'offline',
          seeds.map(({ offline }) => baselineOf(recipe, offline)),
        ),
        cloud(
          'shuffled online',
          seeds.map(({ shuffled }) => baselineOf(recipe, shuffled)),
        ),
      ],
    })),
    title: 'Does a better classifier write better?',
    caption: 'Checkpoints of the baseline configuration of each arm.',
    claim: 'Offline policies classify better and write worse; within them there is no correlation.',
    signatures: ['S1.8a', 'S1.8b', 'S1.11'],
  };
};

const trainingFigures = async (runs: Runs): Promise<ReportFigure[]> => [
  {
    ...(await renderChart({
      kind: 'lines',
      name: 'fig-8-accuracy',
      x: stepAxis,
      y: { title: 'accuracy on D_golden', include: [0.5] },
      references: [{ y: 0.5, label: 'chance' }],
      arms: baselineArms(runs, ({ accuracy }) => accuracy),
    })),
    title: 'Classification during training',
    caption: band,
    claim: 'Offline rises to 60–70 %; online stays near chance.',
    signatures: ['S1.8a', 'S1.8b'],
  },
  {
    ...(await renderChart({
      kind: 'lines',
      name: 'fig-8-drift',
      x: stepAxis,
      y: { title: 'log-probability of better responses, change', unit: 'nats' },
      references: [{ y: 0, label: 'start policy' }],
      arms: baselineArms(runs, ({ chosenDrift }) => chosenDrift),
    })),
    title: 'What becomes of the better responses of the data',
    caption: `Mean change of log π(y_w | x) on D_golden. ${band}`,
    claim: 'It falls in all arms, most in the offline one.',
    signatures: ['S1.9a', 'S1.9b'],
  },
  {
    ...(await renderChart({
      kind: 'lines',
      name: 'proxy-and-golden',
      x: stepAxis,
      y: { title: 'win rate of the online arm' },
      arms: [
        armOverSeeds(
          'as the proxy sees it',
          runs.seeds.map(({ online }) => curve(runs.start, online, (p) => p.proxyWinRate)),
        ),
        armOverSeeds(
          'as the golden model sees it',
          runs.seeds.map(({ online }) => curve(runs.start, online, (p) => p.winRate)),
        ),
      ],
    })),
    title: 'Beyond the paper: the proxy and the truth',
    caption: `The same responses, judged by the model that trains the arm and by the truth. ${band}`,
    signatures: ['S1.6b'],
  },
];

export const figuresOf = async (runs: Runs): Promise<ReportFigure[]> => [
  await gapFigure(runs),
  ...(await shuffledFigures(runs)),
  await streamFigure(runs),
  await accuracyFigure(runs),
  ...(await trainingFigures(runs)),
];
