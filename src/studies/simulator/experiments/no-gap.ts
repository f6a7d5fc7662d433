// No gap at all: what H2O costs where the simulator is right.
import { estimate } from '../../../evaluation/statistics.js';
import { meanOf } from '../../../numbers.js';
import { above } from '../../signature.js';
import type { Signature } from '../../signature.js';
import { type Cell, hasCell, labelled, runCell } from '../cells.js';
import { curveData, endOf, learningFigure, minus } from '../curves.js';
import { ensembleExperiment, listOf, overSeeds, signature } from '../ensemble.js';

const lossesOf = (cell: Cell): string => {
  const { curve } = cell.get('h2o')!.result;
  const last = curve.at(-1)!.members;
  const list = (name: 'dSaLoss' | 'dSasLoss') =>
    listOf(
      last.map(({ metrics }) => metrics[name]!),
      2,
    );
  return `Losses of (s, a): ${list('dSaLoss')}; of (s, a, s′): ${list('dSasLoss')}`;
};

const mixtureSignature = (cell: Cell, h2o: readonly number[]): Signature[] => {
  const run = cell.get('mix');
  if (!run) return [];
  const mix = endOf(run);
  const { standardError } = estimate(mix);
  if (standardError === null) return [];
  return [
    signature(
      'S3.5b',
      'no gap: H2O returns at least what the mixture does, less a standard error',
      overSeeds(minus(h2o, mix)),
      above(-standardError),
      `By seed. H2O: ${listOf(h2o)}. Mixture: ${listOf(mix)}.`,
    ),
  ];
};

const signaturesOf = (cell: Cell): Signature[] => {
  const [h2o, sac] = [endOf(cell.get('h2o')!), endOf(cell.get('sac')!)];
  const weights = cell.get('h2o')!.result.readings.map(({ meanW }) => meanW!);
  return [
    signature(
      'R5',
      'no gap: H2O returns at least 0.8 of what SAC does',
      { value: meanOf(h2o) / meanOf(sac), interval: null },
      above(0.8),
      `Ratio of means over seeds. H2O: ${listOf(h2o)}. SAC: ${listOf(sac)}.`,
    ),
    signature(
      'S3.5a',
      'no gap: the mean weight w is 0.8 or more',
      overSeeds(weights),
      above(0.8),
      `${lossesOf(cell)}. The second tends to the first and not to 2 ln 2: real data and the ` +
        'simulator’s differ in (s, a).',
    ),
    ...mixtureSignature(cell, h2o),
  ];
};

export const noGap = ensembleExperiment<Cell>({
  id: 'no-gap',
  title: 'A simulator that is right',
  includes: (recipe) => hasCell(recipe, 'none'),
  run: (lab) => runCell(lab, 'none'),
  findings: async (_, cell) => {
    const runs = labelled(cell);
    const signatures = signaturesOf(cell);
    const figure = await learningFigure(
      {
        name: 'no-gap-returns',
        title: 'Learning with a simulator that is right',
        signatures: signatures.map(({ id }) => id),
      },
      runs,
    );
    return { signatures, figures: [figure], data: curveData(runs) };
  },
});
