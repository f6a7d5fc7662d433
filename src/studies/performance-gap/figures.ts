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

const frontierFigure = async (
  figure: Pick<ReportFigure, 'name' | 'title' | 'caption' | 'claim' | 'signatures'>,
  { online, offline, shuffled }: Clouds,
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'scatter',
    name: figure.name,
    x: klAxis,
    y: winRateAxis,
    clouds: [
      frontierCloud('online', online),
      frontierCloud('offline', offline),
      frontierCloud('shuffled online', shuffled),
    ],
  })),
  ...figure,
});

const shuffledFigures = async (runs: Runs): Promise<ReportFigure[]> => {
  const clouds = cloudsOf(runs);
  const { arm, weakBeta, bestOf2 } = runs.recipe;
  const figures = [
    frontierFigure(
      {
        name: 'fig-4-shuffled',
        title: `The online stream, shuffled (beta ${arm.beta})`,
        caption:
          "Offline training on the online arm's own pairs in shuffled order. In their own order " +
          'the same pairs give the online policy again, bit for bit (S1.3), so that run needs no ' +
          'points.',
        claim: 'Shuffled online data are little better than D_golden: coverage is not the reason.',
        signatures: ['S1.3', 'S1.4'],
      },
      clouds,
    ),
  ];
  if (weakBeta !== null) {
    const figure = {
      name: 'fig-4-weak-beta',
      title: `The same at a smaller beta (${weakBeta})`,
      caption: 'A weaker leash than any of the paper: policies go farther from the start.',
      signatures: ['S1.1b', 'S1.4b', 'S1.6a', 'S1.6b'],
    };
    figures.push(frontierFigure(figure, clouds.weak));
  }
  if (bestOf2) {
    const figure = {
      name: 'fig-9-best-of-2',
      title: 'Best-of-2 instead of IPO',
      caption: 'Maximum likelihood of the better response, without a reference.',
      claim: 'The gap persists, and the shuffled stream matches the online arm.',
      signatures: ['S1.12a', 'S1.12b'],
    };
    figures.push(frontierFigure(figure, clouds.bestOf2));
  }
  return Promise.all(figures);
};

const regeneratedFigure = async (runs: Runs): Promise<ReportFigure[]> => {
  const { offline, endVersusEnd, end } = cloudsOf(runs);
  if (endVersusEnd.length === 0) return [];
  const clouds = [
    frontierCloud('offline, D_golden', offline),
    frontierCloud('offline, data of the final policy', endVersusEnd),
    { ...frontierCloud('that policy', end), envelope: [] },
  ];
  return [
    {
      ...(await renderChart({
        kind: 'scatter',
        name: 'fig-5-data-quality',
        x: klAxis,
        y: winRateAxis,
        clouds,
      })),
      title: 'Better data for offline training',
      caption: 'Both responses of each pair from the final online policy, ordered by the truth.',
      claim: 'Offline training on them helps little and stays below the policy that wrote them.',
      signatures: ['S1.7a', 'S1.7b'],
    },
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
  ...(await regeneratedFigure(runs)),
  await streamFigure(runs),
  await accuracyFigure(runs),
  ...(await trainingFigures(runs)),
];
