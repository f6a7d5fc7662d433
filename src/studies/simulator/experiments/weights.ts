// What the discriminators' weights say: û, ω and w along the speed, how much of w lies at its floor,
// and that w falls as the gap grows.
import { meanOf } from '../../../numbers.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import { above } from '../../signature.js';
import type { Signature } from '../../signature.js';
import { cellArm } from '../arms.js';
import { hasCell } from '../cells.js';
import { metricAt } from '../curves.js';
import { ensembleExperiment, listOf, signature } from '../ensemble.js';
import type { Bin, Reading } from '../instruments.js';
import { type GapName, type Recipe, gapNames } from '../recipe.js';
import type { Run } from '../training.js';

type Found = readonly (readonly [GapName, Run])[];

/** Of the order of the mean weights. */
const orderStep = 30_000;

const gapsOf = (recipe: Recipe): GapName[] =>
  (recipe.weights?.gaps ?? []).filter((gap) => hasCell(recipe, gap));

const nameOf = (gap: GapName): string => (gap === 'none' ? 'no gap' : gap);

const orderSignature = (found: Found): Signature[] => {
  if (!gapNames.every((gap) => found.some(([name]) => name === gap))) return [];
  const means = gapNames.map((gap) => {
    const [, run] = found.find(([name]) => name === gap)!;
    return meanOf(metricAt(run, 'meanRootW', orderStep));
  });
  const steps = means.slice(1).map((value, i) => means[i]! - value);
  return [
    signature(
      'R4',
      'the mean of √w falls from no gap over friction and gravity to joint noise',
      { value: Math.min(...steps), interval: null },
      above(0),
      `The smallest of three differences. Means at ${orderStep} updates: ${listOf(means, 3)}.`,
    ),
  ];
};

const finiteSignature = (found: Found): Signature => {
  const all = found.flatMap(([, run]) => run.result.readings);
  const floors = found.map(
    ([gap, run]) =>
      `${nameOf(gap)} ${listOf(
        run.result.readings.map((each) => each.floorFraction!),
        3,
      )}`,
  );
  const finite = all.filter((each) => Number.isFinite(each.weightedVariance)).length;
  return signature(
    'S3.9a',
    'the weighted values have a finite variance',
    { value: finite / all.length, interval: null },
    above(1),
    `Part of simulated transitions with w at its floor, by seed: ${floors.join('; ')}.`,
  );
};

/** Over the seeds: the k-th bins of all, averaged. */
const panelOf = (
  gap: GapName,
  readings: readonly Reading[],
  values: readonly { readonly label: string; readonly of: (bin: Bin) => number }[],
  axis: string,
) => ({
  kind: 'lines' as const,
  name: `weights-${gap.replace(' ', '-')}`,
  title: nameOf(gap),
  x: { title: 'forward speed', unit: 'm/s' },
  y: { title: axis, include: [0] },
  arms: values.map(({ label, of }) => ({
    label,
    points: readings[0]!.bins.map((_, k) => {
      const bins = readings.map(({ bins: own }) => own[k]!);
      const ys = bins.map(of);
      return {
        x: meanOf(bins.map(({ at }) => at)),
        y: meanOf(ys),
        low: Math.min(...ys),
        high: Math.max(...ys),
      };
    }),
  })),
});

const caption =
  'Bins of equally many of the newest simulated transitions by their forward speed, at the end of ' +
  'training. Lines are means over seeds; bands go from the lowest to the highest seed.';

const binFigures = async (found: Found): Promise<ReportFigure[]> => {
  const figure = async (
    name: string,
    axis: string,
    values: Parameters<typeof panelOf>[2],
  ): Promise<ReportFigure> => ({
    ...(await renderChart({
      kind: 'multiples',
      name,
      columns: found.length === 1 ? 1 : 2,
      panels: found.map(([gap, run]) => panelOf(gap, run.result.readings, values, axis)),
    })),
    title: name === 'weights-gap' ? 'The gap û along the speed' : 'ω and w along the speed',
    caption,
  });
  return [
    await figure('weights-gap', 'û', [{ label: 'û', of: (bin) => bin.gap }]),
    await figure('weights-weights', 'weight', [
      { label: 'ω, in multiples of the uniform one', of: (bin) => bin.omega },
      { label: 'w = P_real / P_sim, at most 1', of: (bin) => bin.weight },
    ]),
  ];
};

const valueFigure = async (found: Found): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name: 'weights-values',
    value: { title: 'mean of the lower critic' },
    bars: found.flatMap(([gap, run]) =>
      (['qReal', 'qSim', 'qTopOmega'] as const).map((kind) => {
        const values = run.result.readings.map((reading) => reading[kind]!);
        return {
          category: nameOf(gap),
          arm: { qReal: 'real data', qSim: 'simulated', qTopOmega: 'simulated, top tenth of ω' }[
            kind
          ],
          value: meanOf(values),
          low: Math.min(...values),
          high: Math.max(...values),
        };
      }),
    ),
  })),
  title: 'Values of real and of simulated transitions',
  caption:
    'Q of recorded actions at the end of training of H2O; whiskers from the lowest to the highest ' +
    'seed.',
});

export const weights = ensembleExperiment<Found>({
  id: 'weights',
  title: 'What the weights say',
  includes: (recipe) => gapsOf(recipe).length > 0,
  run: (lab) =>
    Promise.all(
      gapsOf(lab.recipe).map(
        async (gap) => [gap, await lab.train(cellArm(lab.recipe, gap, 'h2o'))] as const,
      ),
    ),
  findings: async (_, found) => ({
    signatures: [...orderSignature(found), finiteSignature(found)],
    figures: [...(await binFigures(found)), await valueFigure(found)],
    data: Object.fromEntries(found.map(([gap, run]) => [nameOf(gap), run.result.readings])),
  }),
});
