// Beyond the paper: between online and offline. The samples come from a snapshot of the policy that
// is renewed every n steps; n = 1 is the online arm, and a snapshot that is never renewed is the SFT
// policy. The paper argues (sections 7 and 8) that data which are renewed often are online data.
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import type { ArmRun } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import { ofPeaks } from '../peaks.js';
import type { Recipe } from '../recipe.js';
import { type Cloud, offlineArm, winRateAxis } from './baseline-arms.js';
import { bandPoint, finalsOf, heldOut, intervals, peakNumbers, peakOf } from './data-helpers.js';

/** Steps between two snapshots, rising: always 1, and nothing beyond the length of a run. */
export const intervalsOf = ({ syncEvery, arm }: Pick<Recipe, 'syncEvery' | 'arm'>): number[] =>
  [...new Set([1, ...syncEvery.map((every) => Math.min(every, arm.steps))])].sort((a, b) => a - b);

export interface SyncLevel {
  readonly every: number;
  readonly cloud: Cloud;
}

export const syncFigure = async (
  levels: readonly SyncLevel[],
  offline: Cloud,
  steps: number,
): Promise<ReportFigure> => {
  const arm = (label: string, of: (own: Cloud) => Cloud) => ({
    label,
    points: levels.map(({ every, cloud: own }) =>
      bandPoint(
        every,
        ofPeaks([of(own)], ([value]) => value!),
        every === 1 ? 'the online arm' : every >= steps ? 'never renewed' : '',
      ),
    ),
  });
  const never = levels.some(({ every }) => every >= steps)
    ? `; at ${steps} all pairs come from the SFT policy`
    : '';
  return {
    ...(await renderChart({
      kind: 'lines',
      name: 'sync-every',
      x: { title: 'steps between two snapshots of the sampler', scale: 'log' },
      y: winRateAxis,
      references: [{ y: peakOf(offline).value, label: 'offline, peak' }],
      arms: [arm('best checkpoint', (own) => own), arm('last checkpoint', finalsOf)],
    })),
    title: 'Beyond the paper: how old may the sampler be?',
    caption:
      'Pairs are drawn from a copy of the policy that is renewed every so many steps, and labelled ' +
      `by the proxy. At 1 this is the online arm${never}. ${heldOut} ${intervals}`,
  };
};

interface Found {
  readonly levels: readonly ArmRun[];
  readonly offline: ArmRun;
}

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const levels: ArmRun[] = [];
  for (const every of intervalsOf(lab.recipe)) {
    // The online arm itself, not a second one that would have to equal it.
    const own = every === 1 ? {} : { syncEvery: every };
    levels.push(await lab.arm({ ...lab.baseline(seed), source: { kind: 'online', ...own } }));
  }
  return { levels, offline: await offlineArm(lab, seed) };
};

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const levels: SyncLevel[] = [];
  for (const [i, every] of intervalsOf(lab.recipe).entries()) {
    const runs = found.map((seed) => seed.levels[i]!);
    levels.push({ every, cloud: await cloud(lab, runs) });
  }
  const offline = await cloud(
    lab,
    found.map((seed) => seed.offline),
  );
  return {
    signatures: [],
    figures: [await syncFigure(levels, offline, lab.recipe.arm.steps)],
    data: {
      levels: levels.map(({ every, cloud: own }) => ({ every, ...peakNumbers(own) })),
      offline: peakNumbers(offline),
    },
  };
};

export const syncEvery: Experiment<Lab, Found> = {
  id: 'sync-every',
  title: 'Between online and offline',
  includes: ({ recipe }) => recipe.syncEvery.length > 0,
  run,
  findings,
};
