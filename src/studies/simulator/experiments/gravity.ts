// Twice the gravity in the simulator: the premise of the paper, and what H2O makes of it.
import { above } from '../../signature.js';
import type { Signature } from '../../signature.js';
import { type Cell, hasCell, labelled, runCell } from '../cells.js';
import { curveData, endOf, lateOf, learningFigure, minus } from '../curves.js';
import { ensembleExperiment, listOf, overSeeds, shareOf, signature } from '../ensemble.js';

/** Of the premise, S3.2. */
const factor = 1.5;

const signaturesOf = (cell: Cell): Signature[] => {
  const [h2o, sac] = [cell.get('h2o')!, cell.get('sac')!];
  const [real, sim] = [endOf(sac), endOf(sac, 'sim')];
  const ends = `SAC at the end, by seed. Real: ${listOf(real)}. Simulator: ${listOf(sim)}.`;
  return [
    signature(
      'R2',
      'gravity: H2O returns more than SAC in the simulator over the last two thirds of training',
      overSeeds(minus(lateOf(h2o), lateOf(sac))),
      above(0),
      `By seed. H2O: ${listOf(lateOf(h2o))}. SAC: ${listOf(lateOf(sac))}.`,
    ),
    signature(
      'R3',
      'gravity: SAC returns more in the simulator than in the real system, on every seed',
      shareOf(minus(sim, real).map((value) => value > 0)),
      above(1),
      ends,
    ),
    signature(
      'S3.2',
      'gravity: SAC returns at least 1.5 times as much in the simulator as in the real system',
      overSeeds(sim.map((value, i) => value - factor * real[i]!)),
      above(0),
      `The simulated return less ${factor} times the real one, which may be near 0 or below it. ${ends}`,
    ),
  ];
};

export const gravity = ensembleExperiment<Cell>({
  id: 'gravity',
  title: 'Twice the gravity in the simulator',
  includes: (recipe) => hasCell(recipe, 'gravity'),
  run: (lab) => runCell(lab, 'gravity'),
  findings: async (_, cell) => {
    const runs = labelled(cell);
    const signatures = signaturesOf(cell);
    const figure = await learningFigure(
      {
        name: 'gravity-returns',
        title: 'Learning with a simulator of twice the gravity',
        signatures: signatures.map(({ id }) => id),
      },
      runs,
    );
    return { signatures, figures: [figure], data: curveData(runs) };
  },
});
