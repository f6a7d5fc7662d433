// Friction times 0.3 in the simulator, the mildest of the gaps. Nothing is required of it: in the
// runs that the signatures are from H2O led early and fell back late.
import { type Cell, hasCell, labelled, runCell } from '../cells.js';
import { curveData, learningFigure } from '../curves.js';
import { ensembleExperiment } from '../ensemble.js';

export const friction = ensembleExperiment<Cell>({
  id: 'friction',
  title: 'Less friction in the simulator',
  includes: (recipe) => hasCell(recipe, 'friction'),
  run: (lab) => runCell(lab, 'friction'),
  findings: async (_, cell) => {
    const runs = labelled(cell);
    const figure = await learningFigure(
      {
        name: 'friction-returns',
        title: 'Learning with a simulator of 0.3 of the friction',
        caption: 'The factor is on every contact, the floor’s too.',
      },
      runs,
    );
    return { signatures: [], figures: [figure], data: curveData(runs) };
  },
});
