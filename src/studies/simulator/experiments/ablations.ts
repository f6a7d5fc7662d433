// H2O without each of its parts. That it beats them is reported, and not required: it did not in the
// short runs that the signatures are from.
import type { H2oOptions } from '../../../control/index.js';
import { meanOf } from '../../../numbers.js';
import { above } from '../../signature.js';
import type { Signature } from '../../signature.js';
import { apartFromCell, cellArm } from '../arms.js';
import { hasCell } from '../cells.js';
import { curveData, endOf, learningFigure, minus } from '../curves.js';
import type { Labelled } from '../curves.js';
import { ensembleExperiment, listOf, overSeeds, signature } from '../ensemble.js';
import type { Lab } from '../lab.js';
import type { Reading } from '../instruments.js';

const variants: readonly (readonly [string, H2oOptions])[] = [
  ['H2O', {}],
  ['w ≡ 1', { importanceWeights: false }],
  ['u ≡ 1', { adaptiveGap: false }],
  ['no penalty', { penalty: false }],
  ['linear penalty', { linear: true }],
];

const run = (lab: Lab): Promise<Labelled[]> => {
  const { gap, plan } = lab.recipe.ablations!;
  const length = apartFromCell(lab.recipe, gap, { plan });
  return Promise.all(
    variants.map(async ([label, h2o]): Promise<Labelled> => {
      const plain = label === 'H2O';
      const variant = plain ? `H2O${length}` : `H2O, ${label}${length}`;
      const changes = plain ? { plan, variant } : { plan, h2o, variant };
      return { label, run: await lab.train(cellArm(lab.recipe, gap, 'h2o', changes)) };
    }),
  );
};

const readingOf = (runs: readonly Labelled[], label: string, of: (each: Reading) => number) =>
  runs.find((each) => each.label === label)!.run.result.readings.map(of);

const valueSignatures = (runs: readonly Labelled[]): Signature[] => {
  const top = (reading: Reading): number => reading.qTopOmega!;
  const excess = (reading: Reading): number => reading.qSim! - reading.qReal!;
  const [own, uniform] = [readingOf(runs, 'H2O', top), readingOf(runs, 'u ≡ 1', top)];
  const [held, free] = [readingOf(runs, 'H2O', excess), readingOf(runs, 'no penalty', excess)];
  return [
    signature(
      'S3.4a',
      'the adaptive gap lowers Q on the tenth of simulated transitions with the largest ω',
      overSeeds(minus(uniform, own)),
      above(0),
      'Each by its own discriminators on its own simulated transitions. ' +
        `H2O: ${listOf(own)}. u ≡ 1: ${listOf(uniform)}.`,
    ),
    signature(
      'S3.4b',
      'the penalty lowers Q on simulated transitions against Q on real ones',
      overSeeds(minus(free, held)),
      above(0),
      `Q simulated less Q real. H2O: ${listOf(held)}. No penalty: ${listOf(free)}.`,
    ),
  ];
};

const returnSignature = (runs: readonly Labelled[]): Signature => {
  const ends = runs.map(({ run: one }) => endOf(one));
  const others = ends.slice(1);
  const perSeed = ends[0]!.map((value, seed) => value - meanOf(others.map((end) => end[seed]!)));
  const note = runs.map(({ label }, i) => `${label}: ${listOf(ends[i]!)}`).join('. ');
  const claim = 'H2O returns at least what its ablations do on average';
  return signature('S3.6', claim, overSeeds(perSeed), above(0), `By seed. ${note}.`);
};

export const ablations = ensembleExperiment<Labelled[]>({
  id: 'ablations',
  title: 'H2O without its parts',
  includes: (recipe) => recipe.ablations !== null && hasCell(recipe, recipe.ablations.gap),
  run,
  findings: async (lab, runs) => {
    const signatures = [...valueSignatures(runs), returnSignature(runs)];
    const figure = await learningFigure(
      {
        name: 'ablations',
        title: 'H2O without its parts',
        caption: `Under the gap ${lab.recipe.ablations!.gap}.`,
        signatures: signatures.map(({ id }) => id),
      },
      runs,
    );
    return { signatures, figures: [figure], data: curveData(runs) };
  },
});
