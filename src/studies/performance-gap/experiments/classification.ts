// Figures 6 to 8: the policies and the proxy as classifiers of pairs (section 5.3).
import { mean } from '../../../evaluation/statistics.js';
import type { Arm as ChartArm } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment } from '../../experiment.js';
import type { ArmRun } from '../arms.js';
import type { Lab } from '../lab.js';
import type { Point } from '../measure.js';
import { type StreamPlace, streamAccuracy } from '../stream.js';
import {
  band,
  offlineArm,
  offlineSweep,
  onlineArm,
  overSteps,
  shuffledArm,
  shuffledSweep,
  stepAxis,
  winRateAxis,
} from './baseline-arms.js';
import { type ClassifiedSeed, classifierSignatures } from './classifier-signatures.js';

type Seeds = readonly ClassifiedSeed[];

const labels = { online: 'online', offline: 'offline', shuffled: 'shuffled online' } as const;
const methods = ['online', 'offline', 'shuffled'] as const;

/** The i-th places of all seeds together. */
const places = (seeds: Seeds): StreamPlace[][] =>
  (seeds[0]?.stream.places ?? []).map((_, i) => seeds.map(({ stream }) => stream.places[i]!));

const streamFigure = async (seeds: Seeds): Promise<ReportFigure> => {
  const arm = (label: string, of: 'proxy' | 'online' | 'offline'): ChartArm => ({
    label,
    points: places(seeds).map((group) => {
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

const accuracyFigure = async (seeds: Seeds): Promise<ReportFigure> => {
  const points = (runs: readonly ArmRun[]) =>
    runs.flatMap(({ name, result }) =>
      result.points.map((point) => ({
        x: point.accuracy,
        y: point.winRate,
        note: `${name}, step ${point.step}`,
      })),
    );
  return {
    ...(await renderChart({
      kind: 'scatter',
      name: 'fig-7-accuracy-win-rate',
      x: { title: 'accuracy on D_golden', include: [0.5] },
      y: winRateAxis,
      clouds: methods.map((method) => ({
        label: labels[method],
        points: points(seeds.map(({ arms }) => arms[method])),
      })),
    })),
    title: 'Does a better classifier write better?',
    caption: 'Checkpoints of the baseline configuration of each arm.',
    claim: 'Offline policies classify better and write worse; within them there is no correlation.',
    signatures: ['S1.8a', 'S1.8b', 'S1.11'],
  };
};

const curves = (start: Point, seeds: Seeds, of: (point: Point) => number): ChartArm[] =>
  methods.map((method) =>
    overSteps(
      labels[method],
      start,
      seeds.map(({ arms }) => arms[method]),
      of,
    ),
  );

const trainingFigures = async (start: Point, seeds: Seeds): Promise<ReportFigure[]> => [
  {
    ...(await renderChart({
      kind: 'lines',
      name: 'fig-8-accuracy',
      x: stepAxis,
      y: { title: 'accuracy on D_golden', include: [0.5] },
      references: [{ y: 0.5, label: 'chance' }],
      arms: curves(start, seeds, ({ accuracy }) => accuracy),
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
      arms: curves(start, seeds, ({ chosenDrift }) => chosenDrift),
    })),
    title: 'What becomes of the better responses of the data',
    caption: `Mean change of log π(y_w | x) on D_golden. ${band}`,
    claim: 'It falls in all arms, most in the offline one.',
    signatures: ['S1.9a', 'S1.9b'],
  },
];

export const classification: Experiment<Lab, ClassifiedSeed> = {
  id: 'classification',
  title: 'Policies as classifiers',
  includes: () => true,
  run: async (lab, seed) => {
    const arms = {
      online: await onlineArm(lab, seed),
      offline: await offlineArm(lab, seed),
      shuffled: await shuffledArm(lab, seed),
    };
    const { result: stream } = await streamAccuracy(lab, await lab.ground(), seed, {
      proxy: await lab.proxy(seed),
      online: arms.online,
      offline: arms.offline,
    });
    return {
      arms,
      offline: await offlineSweep(lab, seed),
      shuffled: await shuffledSweep(lab, seed),
      stream,
    };
  },
  findings: async (lab, seeds) => ({
    signatures: classifierSignatures(seeds, lab.recipe.evaluation.pairs),
    figures: [
      await streamFigure(seeds),
      await accuracyFigure(seeds),
      ...(await trainingFigures(await lab.start(), seeds)),
    ],
    data: {
      stream: seeds.map(({ stream }, i) => ({
        seed: lab.recipe.seeds[i]!,
        places: stream.places.map((place) => ({ ...place })),
      })),
    },
  }),
};
