// Joint noise: the gap under which H2O and the simulator alone lie farthest apart.
import { posesToSvg } from '../../../control/index.js';
import type { ReportFigure } from '../../../report/report.js';
import { above } from '../../signature.js';
import type { Signature } from '../../signature.js';
import type { Artefact } from '../../study.js';
import { type Cell, hasCell, labelled, runCell } from '../cells.js';
import { curveData, endOf, learningFigure, metricFigure, minus } from '../curves.js';
import { ensembleExperiment, listOf, overSeeds, shareOf, signature } from '../ensemble.js';
import type { Lab } from '../lab.js';
import type { RolloutResult } from '../rollouts.js';

interface Found {
  readonly cell: Cell;
  readonly rollouts: ReadonlyMap<'h2o' | 'sac', Artefact<RolloutResult>>;
}

const run = async (lab: Lab): Promise<Found> => {
  const cell = await runCell(lab, 'joint noise');
  const rollouts = await Promise.all(
    (['h2o', 'sac'] as const).map(
      async (name) => [name, await lab.rollout(cell.get(name)!)] as const,
    ),
  );
  return { cell, rollouts: new Map(rollouts) };
};

/** Below this width a difference of 1,000 was not seen. */
const wideEnough = ({ recipe }: Lab): boolean => recipe.locomotion!.sizes.hidden[0]! >= 128;

const signaturesOf = (lab: Lab, { cell }: Found): Signature[] => {
  const [h2o, sac] = [endOf(cell.get('h2o')!), endOf(cell.get('sac')!)];
  const difference = minus(h2o, sac);
  const note =
    `Mean real returns of the last three evaluations, by seed. H2O: ${listOf(h2o)}. SAC in the ` +
    `simulator: ${listOf(sac)}.`;
  const found = [
    signature(
      'R1a',
      'joint noise: H2O returns more than SAC in the simulator on two of three seeds or more',
      shareOf(difference.map((value) => value > 0)),
      above(2 / 3),
      note,
    ),
  ];
  if (!wideEnough(lab)) return found;
  const claim = 'joint noise: H2O returns at least 1,000 more than SAC in the simulator';
  return [...found, signature('R1b', claim, overSeeds(difference), above(1000), note)];
};

const strips = ({ rollouts }: Found): ReportFigure[] =>
  [...rollouts].flatMap(([name, { result }]) =>
    (['real', 'sim'] as const).map((kind): ReportFigure => {
      const policy = name === 'h2o' ? 'H2O' : 'SAC';
      const place = kind === 'real' ? 'in the real system' : 'in the simulator, with joint noise';
      const alt = `${policy} ${place}: eight poses, half a second apart.`;
      return {
        name: `rollout-${name}-${kind}`,
        svg: posesToSvg(result[kind], { alt }),
        narrow: posesToSvg(result[kind].slice(0, 4), { alt, width: 360 }),
        alt,
        title: `${policy}, ${place}`,
        caption:
          'The first four seconds of an episode of the first seed’s policy at the end of ' +
          'training, its mean action. Below each figure: time, and how far it has come.',
      };
    }),
  );

export const jointNoise = ensembleExperiment<Found>({
  id: 'joint-noise',
  title: 'Joint noise in the simulator',
  includes: (recipe) => hasCell(recipe, 'joint noise'),
  run,
  findings: async (lab, found) => {
    const runs = labelled(found.cell);
    const withWeights = runs.filter(({ run: { arm } }) => /^(h2o|darc)/.test(arm.algorithm));
    const signatures = signaturesOf(lab, found);
    const figures = [
      await learningFigure(
        {
          name: 'joint-noise-returns',
          title: 'Learning with a simulator whose actions are noisy',
          caption: 'Noise N(0, 1) on every action of the simulator; the real system has none.',
          signatures: signatures.map(({ id }) => id),
        },
        runs,
      ),
      await metricFigure(
        {
          name: 'joint-noise-discriminators',
          title: 'The discriminators along training',
          caption: 'Chance is a loss of 2 ln 2 = 1.386. Each panel has an axis of its own.',
        },
        withWeights,
        [
          { name: 'dSaLoss', title: 'loss of (s, a)' },
          { name: 'dSasLoss', title: 'loss of (s, a, s′)' },
          { name: 'meanRootW', title: 'mean of √w' },
          { name: 'floorFraction', title: 'part of w at its floor' },
        ],
      ),
      ...strips(found),
    ];
    return { signatures, figures, data: curveData(runs) };
  },
});
