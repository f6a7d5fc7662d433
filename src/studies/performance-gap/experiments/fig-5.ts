// Figure 5: offline training on data of the final online policy (section 5.2).
import { frontierCloud } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment } from '../../experiment.js';
import { type Signature, below, measuredSignature } from '../../signature.js';
import type { ArmRun } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import { frontierPoint } from '../measure.js';
import { ofPeaks } from '../peaks.js';
import {
  type Cloud,
  delta,
  klAxis,
  offlineSweep,
  onlineArm,
  peakText,
  winRateAxis,
} from './baseline-arms.js';

interface Clouds {
  readonly offline: Cloud;
  readonly regenerated: Cloud;
  /** The policy that wrote the data. */
  readonly end: Cloud;
}

const signaturesOf = ({ offline, regenerated, end }: Clouds): Signature[] => [
  measuredSignature(
    {
      id: 'S1.7a',
      claim: `offline on data of the final online policy stays ${delta} below that policy`,
      paper: 'figure 5',
    },
    ofPeaks([regenerated, end], ([a, b]) => a! - b!),
    below(-delta),
    `peak ${peakText(regenerated)}; the policy that wrote the data ${peakText(end)}`,
  ),
  measuredSignature(
    {
      id: 'S1.7b',
      claim: `… and is at most ${delta} better than offline on D_golden`,
      paper: 'figure 5',
    },
    ofPeaks([regenerated, offline], ([a, b]) => a! - b!),
    below(delta),
    `peak ${peakText(regenerated)}, against the whole offline sweep`,
  ),
];

const figureOf = async ({ offline, regenerated, end }: Clouds): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'scatter',
    name: 'fig-5-data-quality',
    x: klAxis,
    y: winRateAxis,
    clouds: [
      frontierCloud('offline, D_golden', offline),
      frontierCloud('offline, data of the final policy', regenerated),
      { ...frontierCloud('that policy', end), envelope: [] },
    ],
  })),
  title: 'Better data for offline training',
  caption: 'Both responses of each pair from the final online policy, ordered by the truth.',
  claim: 'Offline training on them helps little and stays below the policy that wrote them.',
  signatures: ['S1.7a', 'S1.7b'],
});

interface Found {
  readonly online: ArmRun;
  readonly offline: readonly ArmRun[];
  readonly regenerated: readonly ArmRun[];
}

export const figure5: Experiment<Lab, Found> = {
  id: 'fig-5',
  title: 'Data of the final online policy',
  includes: ({ recipe }) => recipe.endVersusEnd.learningRates.length > 0,
  run: async (lab, seed) => {
    const { offline, endVersusEnd, arm } = lab.recipe;
    const regenerated: ArmRun[] = [];
    for (const times of offline.steps) {
      for (const learningRate of endVersusEnd.learningRates) {
        const source = { kind: 'offline', data: 'end-vs-end' } as const;
        const steps = Math.round(times * arm.steps);
        regenerated.push(await lab.arm({ ...lab.baseline(seed), learningRate, source, steps }));
      }
    }
    return {
      online: await onlineArm(lab, seed),
      offline: await offlineSweep(lab, seed),
      regenerated,
    };
  },
  findings: async (lab, found) => {
    const clouds: Clouds = {
      offline: await cloud(
        lab,
        found.flatMap(({ offline }) => offline),
      ),
      regenerated: await cloud(
        lab,
        found.flatMap((seed) => seed.regenerated),
      ),
      end: found.map(({ online: { name, arm, result } }) =>
        frontierPoint(result.points.at(-1)!, name, arm.seed),
      ),
    };
    return { signatures: signaturesOf(clouds), figures: [await figureOf(clouds)] };
  },
};
