// Samples of a prompt for the KL's gradient (Song et al. 2024, the k of RLOO), and other baselines.
import { mean } from '../../../../evaluation/statistics.js';
import { renderChart } from '../../../../report/charts.js';
import type { ReportFigure } from '../../../../report/report.js';
import type { Experiment, Findings } from '../../../experiment.js';
import type { Lab } from '../../lab.js';
import { type ArmRun, methodsOf } from '../lab.js';
import type { Point } from '../measure.js';
import type { Baseline, TextRecipe } from '../recipe.js';
import {
  endNumbers,
  ends,
  heldOut,
  klAxis,
  klOf,
  winRateAxis,
  winRateOf,
} from '../summary.js';

interface Estimator {
  readonly samples: number;
  readonly baseline: Baseline;
}

/** RLOO needs two samples; the recipe's own estimator comes last. */
const estimatorsOf = ({ samples, hypo }: TextRecipe): Estimator[] => [
  ...samples.map((k) => ({ samples: k, baseline: k === 1 ? ('none' as const) : ('rloo' as const) })),
  { samples: hypo.samples, baseline: hypo.baseline },
];

const labelOf = ({ samples, baseline }: Estimator): string => `k = ${samples}, ${baseline}`;

type Found = readonly ArmRun[];

const run = async ({ text }: Lab, seed: number): Promise<Found> => {
  const lab = text!;
  const { hypo } = methodsOf(lab.recipe);
  const found: ArmRun[] = [];
  for (const estimator of estimatorsOf(lab.recipe)) {
    found.push(await lab.arm({ method: { ...hypo, ...estimator }, seed }));
  }
  return found;
};

interface Row {
  readonly estimator: Estimator;
  readonly runs: readonly ArmRun[];
}

const figureOf = async (
  name: 'kl' | 'win-rate',
  of: (point: Point) => number,
  rows: readonly Row[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name: `text-samples-${name}`,
    value: name === 'kl' ? klAxis : winRateAxis,
    bars: rows.map(({ estimator, runs }) => {
      const values = ends(runs, of);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return { category: labelOf(estimator), value: mean(values), low, high };
    }),
  })),
  title: `Samples of a prompt: ${name === 'kl' ? 'KL' : 'win rate'} at the end`,
  caption:
    'The same λ with k samples of each prompt and what is taken off their log-ratios: nothing, the ' +
    `other samples (RLOO), or the exact KL of later tokens. ${heldOut} Bars are means over seeds, ` +
    'whiskers the lowest and highest seed.',
});

const findings = async ({ text }: Lab, found: readonly Found[]): Promise<Findings> => {
  const rows = estimatorsOf(text!.recipe).map((estimator, i) => ({
    estimator,
    runs: found.map((runs) => runs[i]!),
  }));
  return {
    signatures: [],
    figures: [await figureOf('kl', klOf, rows), await figureOf('win-rate', winRateOf, rows)],
    data: { rows: rows.map(({ estimator, runs }) => ({ ...estimator, ...endNumbers(runs) })) },
  };
};

export const samples: Experiment<Lab, Found> = {
  id: 'samples',
  title: 'Samples of a prompt',
  includes: ({ recipe }) => recipe.text !== null && recipe.text.samples.length > 0,
  run,
  findings,
};
