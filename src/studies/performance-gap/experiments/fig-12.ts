// Figure 12 (section 6): offline data that are more on-policy. Four datasets with the same prompts
// and the golden model's labels: D_golden, both sides from the final online policy, one side from
// SFT and one from the early online policy, one from the early and one from the final policy.
import { mean } from '../../../evaluation/statistics.js';
import { type Bar, frontierCloud } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import { formatNumber } from '../../../report/numbers.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import { type Signature, above, below, measuredSignature } from '../../signature.js';
import { earlyPolicy } from '../arm-run.js';
import type { ArmRun, DataName } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import { ofPeaks } from '../peaks.js';
import type { Recipe } from '../recipe.js';
import { type Cloud, delta, klAxis, onlineArm, peakText, winRateAxis } from './baseline-arms.js';
import { peakNumbers, stairs } from './data-helpers.js';
import { type DataProperties, type Sides, dataProperties } from './data-properties.js';

type Name = 'D_golden' | DataName;

const names: readonly Name[] = ['D_golden', 'end-vs-end', 'sft-vs-early', 'early-vs-end'];

/** In words; the paper's names have the steps of its policies, 800 and 4k. */
const labels: Readonly<Record<Name, string>> = {
  D_golden: 'D_golden',
  'end-vs-end': 'end against end',
  'sft-vs-early': 'SFT against early',
  'early-vs-end': 'early against end',
};

export type DataClouds = Readonly<Record<Name, Cloud>>;

/** S1.14 on peaks; the second part allows 0.01, the third delta. */
export const onPolicySignatures = (clouds: DataClouds): Signature[] => {
  const paper = 'figure 12';
  const less = (a: Name, b: Name) => ofPeaks([clouds[a], clouds[b]], ([x, y]) => x! - y!);
  const peaks = names.map((name) => `${labels[name]} ${peakText(clouds[name])}`);
  const note = `peaks: ${peaks.join(', ')}`;
  return [
    measuredSignature(
      {
        id: 'S1.14a',
        claim: 'offline data with one side from SFT are worth at least those of early against end',
        paper,
      },
      less('sft-vs-early', 'early-vs-end'),
      above(0),
      note,
    ),
    measuredSignature(
      {
        id: 'S1.14b',
        claim: '… and at most 0.01 less than those with both sides from the final policy',
        paper,
      },
      less('sft-vs-early', 'end-vs-end'),
      above(-0.01),
      note,
    ),
    measuredSignature(
      {
        id: 'S1.14c',
        claim: `contrast alone does not help: early against end at most ${delta} above D_golden`,
        paper,
      },
      less('early-vs-end', 'D_golden'),
      below(delta),
      note,
    ),
  ];
};

type Properties = Readonly<Record<Name, DataProperties>>;

interface Found {
  readonly runs: Readonly<Record<Name, readonly ArmRun[]>>;
  readonly properties: Properties;
}

/**
 * Every dataset with the same settings: learning rates around the baseline's, the longest runs, whose
 * first steps are those of shorter ones.
 */
const settingsOf = ({ endVersusEnd, offline, arm }: Recipe) => {
  const { learningRates } = endVersusEnd;
  return {
    learningRates: learningRates.length > 0 ? learningRates : [arm.learningRate],
    steps: Math.round(arm.steps * Math.max(...offline.steps)),
  };
};

const sidesOf = async (lab: Lab, name: DataName, seed: number): Promise<Sides> => {
  const end = await onlineArm(lab, seed);
  if (name === 'end-vs-end') return [end, end];
  const early = earlyPolicy(end);
  return name === 'sft-vs-early' ? [await lab.sft(), early] : [early, end];
};

const propertiesOf = async (lab: Lab, name: Name, seed: number): Promise<DataProperties> => {
  const data =
    name === 'D_golden'
      ? null
      : { artefact: await lab.data(name, seed), sides: await sidesOf(lab, name, seed) };
  return (await dataProperties(lab, data)).result;
};

/** An entry for each dataset. */
const each = async <Value>(of: (name: Name) => Promise<Value>): Promise<Record<Name, Value>> => ({
  D_golden: await of('D_golden'),
  'end-vs-end': await of('end-vs-end'),
  'sft-vs-early': await of('sft-vs-early'),
  'early-vs-end': await of('early-vs-end'),
});

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const { learningRates, steps } = settingsOf(lab.recipe);
  const runsOn = async (name: Name): Promise<readonly ArmRun[]> => {
    const data = name === 'D_golden' ? {} : { data: name };
    const runs: ArmRun[] = [];
    for (const learningRate of learningRates) {
      const source = { kind: 'offline', ...data } as const;
      runs.push(await lab.arm({ ...lab.baseline(seed), learningRate, steps, source }));
    }
    return runs;
  };
  const runs = await each(runsOn);
  return { runs, properties: await each((name) => propertiesOf(lab, name, seed)) };
};

/** Means over seeds, each with the lowest and highest seed. */
interface Range {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const over = (
  all: readonly Properties[],
  name: Name,
  of: (own: DataProperties) => number,
): Range => {
  const values = all.map((properties) => of(properties[name]));
  return { value: mean(values), low: Math.min(...values), high: Math.max(...values) };
};

// Pairs of D_golden have no sides: either response is as likely the better one.
const contrast = (own: DataProperties): number => own.contrast?.mean ?? 0.5;

export const propertiesFigure = async (all: readonly Properties[]): Promise<ReportFigure> => {
  const bar = (name: Name, arm: string, of: (own: DataProperties) => number): Bar => ({
    category: labels[name],
    arm,
    ...over(all, name, of),
  });
  const distances = names.map((name) => {
    const { value } = over(all, name, ({ surprise }) => surprise);
    return `${labels[name]} ${formatNumber(value)}`;
  });
  return {
    ...(await renderChart({
      kind: 'bars',
      name: 'fig-12-properties',
      value: { title: 'win rate', include: [0.5] },
      bars: names.flatMap((name) => [
        bar(name, 'quality', ({ quality }) => quality.mean),
        bar(name, 'contrast', contrast),
      ]),
    })),
    title: 'What the four datasets are like',
    caption:
      'Quality: win rate of the responses against the golden policy. Contrast: win rate of the side ' +
      'named second over the first (pairs of D_golden have no sides). Both by the golden model; ' +
      'whiskers go from the lowest to the highest seed. Distance from SFT, as the mean -log π_sft of a ' +
      `response in nats: ${distances.join(', ')}.`,
    signatures: ['S1.14a', 'S1.14b', 'S1.14c'],
  };
};

const cloudsFigure = async (clouds: DataClouds): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'scatter',
    name: 'fig-12-on-policy-data',
    x: klAxis,
    y: winRateAxis,
    clouds: names.map((name) => frontierCloud(labels[name], clouds[name])),
  })),
  title: 'Can offline data be made more on-policy?',
  caption:
    'Offline training on pairs that differ in who wrote the two responses: the SFT policy, the ' +
    `online policy at a fifth of its steps (early) and at its end. ${stairs}`,
  claim:
    'One side from the SFT policy is what helps; contrast alone does not, and D_golden is hard to beat.',
  signatures: ['S1.14a', 'S1.14b', 'S1.14c'],
});

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const clouds = await each((name) =>
    cloud(
      lab,
      found.flatMap(({ runs }) => runs[name]),
    ),
  );
  const all = found.map(({ properties }) => properties);
  return {
    signatures: onPolicySignatures(clouds),
    figures: [await cloudsFigure(clouds), await propertiesFigure(all)],
    data: {
      ...settingsOf(lab.recipe),
      datasets: names.map((name) => ({
        name,
        ...peakNumbers(clouds[name]),
        properties: all.map((properties) => properties[name]),
      })),
    },
  };
};

export const figure12: Experiment<Lab, Found> = {
  id: 'fig-12',
  title: 'More on-policy data',
  includes: ({ recipe }) => recipe.onPolicyData,
  run,
  findings,
};
