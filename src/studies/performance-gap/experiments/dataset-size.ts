// Beyond the paper: offline training on parts of D_golden. Would more pairs close the gap?
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import type { ArmRun } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import { ofPeaks } from '../peaks.js';
import type { Recipe } from '../recipe.js';
import { type Cloud, onlineArm, winRateAxis } from './baseline-arms.js';
import { bandPoint, finalsOf, heldOut, intervals, peakNumbers, peakOf } from './data-helpers.js';

/** Numbers of pairs, rising; null is all of D_golden, of which ties have been left out. */
export const pairCounts = ({
  datasetSizes,
  pairs,
}: Pick<Recipe, 'datasetSizes' | 'pairs'>): (number | null)[] => [
  ...[...new Set(datasetSizes)].filter((size) => size < pairs).sort((a, b) => a - b),
  null,
];

export interface DatasetLevel {
  readonly pairs: number;
  readonly cloud: Cloud;
}

export const datasetFigure = async (
  levels: readonly DatasetLevel[],
  online: Cloud,
): Promise<ReportFigure> => {
  const arm = (label: string, of: (own: Cloud) => Cloud) => ({
    label,
    points: levels.map(({ pairs, cloud: own }) =>
      bandPoint(
        pairs,
        ofPeaks([of(own)], ([value]) => value!),
      ),
    ),
  });
  return {
    ...(await renderChart({
      kind: 'lines',
      name: 'dataset-size',
      x: { title: 'pairs of D_golden', scale: 'log' },
      y: winRateAxis,
      references: [{ y: peakOf(online).value, label: 'online, peak' }],
      arms: [arm('best checkpoint', (own) => own), arm('last checkpoint', finalsOf)],
    })),
    title: 'Beyond the paper: would more pairs do?',
    caption:
      'Offline arms on the first so many pairs of D_golden, for the same number of steps. The SFT ' +
      `policy and the proxy of the online arm have seen all of D_golden. ${heldOut} ${intervals}`,
  };
};

interface Found {
  readonly levels: readonly ArmRun[];
  readonly online: ArmRun;
}

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const levels: ArmRun[] = [];
  for (const pairs of pairCounts(lab.recipe)) {
    const part = pairs === null ? {} : { pairs };
    levels.push(await lab.arm({ ...lab.baseline(seed), source: { kind: 'offline', ...part } }));
  }
  return { levels, online: await onlineArm(lab, seed) };
};

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const levels: DatasetLevel[] = [];
  for (const [i, size] of pairCounts(lab.recipe).entries()) {
    const runs = found.map((seed) => seed.levels[i]!);
    levels.push({ pairs: size ?? lab.dataset.result.pairs, cloud: await cloud(lab, runs) });
  }
  const online = await cloud(
    lab,
    found.map((seed) => seed.online),
  );
  return {
    signatures: [],
    figures: [await datasetFigure(levels, online)],
    data: {
      levels: levels.map(({ pairs, cloud: own }) => ({ pairs, ...peakNumbers(own) })),
      online: peakNumbers(online),
    },
  };
};

export const datasetSize: Experiment<Lab, Found> = {
  id: 'dataset-size',
  title: 'Size of the dataset',
  includes: ({ recipe }) => recipe.datasetSizes.length > 0,
  run,
  findings,
};
