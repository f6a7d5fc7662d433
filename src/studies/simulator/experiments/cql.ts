// Real data alone (CQL) and with a simulator under joint noise (H2O), with all of the data and with a
// tenth of it.
import { above } from '../../signature.js';
import type { Signature } from '../../signature.js';
import { algorithmNames, apartFromCell, cellArm } from '../arms.js';
import { hasCell } from '../cells.js';
import { type Labelled, curveData, endOf, learningFigure } from '../curves.js';
import { ensembleExperiment, listOf, overSeeds, signature } from '../ensemble.js';
import type { Lab } from '../lab.js';

interface One extends Labelled {
  readonly algorithm: 'h2o' | 'cql';
  readonly fraction: number;
}

const run = (lab: Lab): Promise<One[]> => {
  const { plan, sizes, fractions } = lab.recipe.cql!;
  const cases = fractions.flatMap((fraction) =>
    (['h2o', 'cql'] as const).map((algorithm) => ({ fraction, algorithm })),
  );
  return Promise.all(
    cases.map(async ({ fraction, algorithm }): Promise<One> => {
      const apart = apartFromCell(lab.recipe, 'joint noise', { plan, sizes });
      const variant = `${algorithmNames[algorithm]}${apart}`;
      const changes = { plan, sizes, fraction, variant };
      const arm = cellArm(lab.recipe, 'joint noise', algorithm, changes);
      const part = fraction === 1 ? 'all of the data' : `${100 * fraction} % of it`;
      const label = `${algorithmNames[algorithm]}, ${part}`;
      return { algorithm, fraction, label, run: await lab.train(arm) };
    }),
  );
};

const dropSignature = (found: readonly One[]): Signature[] => {
  const end = (algorithm: 'h2o' | 'cql', least: boolean): number[] => {
    const own = found.filter((one) => one.algorithm === algorithm);
    const fractions = own.map(({ fraction }) => fraction);
    const wanted = least ? Math.min(...fractions) : Math.max(...fractions);
    return endOf(own.find(({ fraction }) => fraction === wanted)!.run);
  };
  const drop = (algorithm: 'h2o' | 'cql'): number[] =>
    end(algorithm, false).map((all, i) => (all - end(algorithm, true)[i]!) / Math.abs(all));
  const [h2o, cql] = [drop('h2o'), drop('cql')];
  return [
    signature(
      'S3.7',
      'with a tenth of the data H2O loses a smaller part of its return than CQL',
      overSeeds(cql.map((value, i) => value - h2o[i]!)),
      above(0),
      `Part that is lost, by seed. H2O: ${listOf(h2o, 2)}. CQL: ${listOf(cql, 2)}.`,
    ),
  ];
};

export const cql = ensembleExperiment<One[]>({
  id: 'cql',
  title: 'Real data alone',
  includes: (recipe) => recipe.cql !== null && hasCell(recipe, 'joint noise'),
  run,
  findings: async (_, found) => {
    const signatures = dropSignature(found);
    const figure = await learningFigure(
      {
        name: 'cql-returns',
        title: 'Real data alone, and with a simulator',
        caption: 'The simulator has joint noise; CQL does not see it.',
        signatures: signatures.map(({ id }) => id),
      },
      found,
    );
    return { signatures, figures: [figure], data: curveData(found) };
  },
});
