// All cells side by side, as in the paper's table of returns; none of its numbers is here.
import { meanOf } from '../../../numbers.js';
import type { Bar } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { Algorithm, DatasetKind } from '../../../control/index.js';
import { above } from '../../signature.js';
import { algorithmNames } from '../arms.js';
import { type Cell, hasCell, runCell } from '../cells.js';
import { endOf } from '../curves.js';
import { ensembleExperiment, shareOf, signature } from '../ensemble.js';
import { type GapName, gapNames } from '../recipe.js';
import type { Recipe } from '../recipe.js';

interface Place {
  readonly gap: GapName;
  readonly kind: DatasetKind;
  /** Of the bars. */
  readonly label: string;
}

const placesOf = (recipe: Recipe): Place[] =>
  gapNames
    .filter((gap) => hasCell(recipe, gap))
    .flatMap((gap) =>
      recipe.locomotion!.data.kinds.map((kind, _, { length }) => {
        const name = gap === 'none' ? 'no gap' : gap;
        return { gap, kind, label: length === 1 ? name : `${name}, ${kind}` };
      }),
    );

type Cells = readonly (readonly [Place, Cell])[];

const barsOf = (cells: Cells): Bar[] =>
  cells.flatMap(([{ label }, cell]) =>
    [...cell].map(([algorithm, run]) => {
      const ends = endOf(run);
      return {
        category: label,
        arm: algorithmNames[algorithm],
        value: meanOf(ends),
        low: Math.min(...ends),
        high: Math.max(...ends),
      };
    }),
  );

const rivals: readonly Algorithm[] = ['sac', 'darc', 'darc+'];

const leads = (cell: Cell): boolean =>
  rivals.every((name) => {
    const run = cell.get(name);
    return !run || meanOf(endOf(cell.get('h2o')!)) >= meanOf(endOf(run));
  });

export const returns = ensembleExperiment<Cells>({
  id: 'returns',
  title: 'Returns in the real system',
  includes: (recipe) => placesOf(recipe).length > 1,
  run: (lab) =>
    Promise.all(
      placesOf(lab.recipe).map(
        async (place) => [place, await runCell(lab, place.gap, place.kind)] as const,
      ),
    ),
  findings: async (_, cells) => {
    const withGap = cells.filter(([{ gap }]) => gap !== 'none');
    const found = signature(
      'S3.1',
      'H2O is first among the methods with a simulator in two thirds of the cells or more',
      shareOf(withGap.map(([, cell]) => leads(cell))),
      above(2 / 3),
      `${withGap.length} cells; the signature is of six. The mixture is not among the ` +
        'rivals, nor CQL, which needs a budget of its own.',
    );
    const figure = await renderChart({
      kind: 'bars',
      name: 'returns',
      value: { title: 'return in the real system' },
      bars: barsOf(cells),
    });
    const about = {
      title: 'Returns in the real system at the end of training',
      caption:
        'Means of the last three evaluations over seeds; whiskers go from the lowest to the ' +
        'highest seed.',
      signatures: ['S3.1'],
    };
    return { signatures: [found], figures: [{ ...figure, ...about }] };
  },
});
