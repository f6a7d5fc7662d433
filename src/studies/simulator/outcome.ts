// What the study found: result.json, points.csv and the report.
import type { JsonObject } from '../../checkpoint/json.js';
import type { Report } from '../../report/report.js';
import { packageVersion } from '../../version.js';
import { type Outcome, figuresOf, forReport, writeStudy } from '../outcome.js';
import type { Study } from '../study.js';
import type { Lab } from './lab.js';
import type { Recipe } from './recipe.js';

const paper = 'Niu et al. 2022, arXiv 2206.13464';

/** Where the procedure is not the paper's, and why. */
export const deviations: readonly string[] = [
  'The data is made by the library’s own SAC after the construction of D4RL; it is not D4RL’s, so ' +
    'returns and scores compare in kind only.',
  'Networks, batches and lengths below the scale gpu are smaller than the paper’s, and the learning ' +
    'rate is larger; one set of data and one locomotion task.',
  'Friction is scaled on every contact, the floor’s too, which is what takes effect in MuJoCo.',
  'DARC+ is DARC whose agent trains on real transitions too. No code of the baseline of that name ' +
    'could be found; this is our definition.',
  'The value regulariser takes ω in log-space with 1e-30 as the least gap, where the released code ' +
    'has a denormal number.',
  'The wheel-legged robot is a planar model of our own making; "real" is the same model with another ' +
    'mass, a delay of 10 ms and more noise.',
  'On the wheel-legged robot policies act at 25 Hz, each action held for eight steps of the physics; ' +
    'learners read rewards less a constant and observations in units of their own; discriminators ' +
    'standardise their inputs, and next states are spread by a step’s change. Its data is all that one ' +
    'SAC met, which learned on it.',
  'That H2O beats the plain mixture of data, its own ablations, CQL or DARC is reported, and asserted ' +
    'at no scale: earlier runs of this length did not show it.',
];

const runData = (lab: Lab) =>
  lab.runs().map(({ name, key, arm, result, data }) => ({
    name,
    key,
    arm,
    data: data ? { name: data.name, ...data.result } : null,
    readings: result.readings,
    curve: result.curve,
  }));

export const resultOf = (lab: Lab, { signatures, findings }: Outcome): JsonObject => ({
  study: 'simulator',
  paper,
  version: packageVersion,
  recipe: { ...lab.recipe },
  deviations,
  signatures,
  experiments: Object.fromEntries([...findings].map(([id, { data = {} }]) => [id, data])),
  runs: runData(lab),
});

const metricColumns = [
  'qReal',
  'qSim',
  'alpha',
  'entropy',
  'meanW',
  'meanRootW',
  'floorFraction',
  'meanU',
  'dSaLoss',
  'dSasLoss',
] as const;

const field = (value: string | number | null | undefined): string => {
  const text = value === null || value === undefined ? '' : String(value);
  return text.includes(',') ? `"${text}"` : text;
};

/** A line for each evaluation of each seed. */
export const pointsCsv = (lab: Lab): string => {
  const head = ['run', 'seed', 'step', 'realReturn', 'realScore', 'simReturn', ...metricColumns];
  const lines = lab.runs().flatMap(({ name, result: { curve } }) =>
    curve.flatMap(({ step, members }) =>
      members.map(({ realReturn, realScore, simReturn, metrics }, i) => {
        const own = metricColumns.map((column) => metrics[column]);
        const seed = lab.recipe.seeds[i]!;
        return [name, seed, step, realReturn, realScore, simReturn, ...own].map(field).join();
      }),
    ),
  );
  return [head.join(), ...lines, ''].join('\n');
};

const settingsOf = ({ scale, seeds, locomotion }: Recipe): Report['settings'] => ({
  scale,
  seeds: seeds.join(', '),
  ...(locomotion
    ? {
        environment: locomotion.env,
        data: locomotion.data.kinds.join(', '),
        'score of the medium policy': locomotion.data.mediumScore,
        'hidden layers': locomotion.sizes.hidden.join(', '),
        'batch size': locomotion.sizes.batch,
        'learning rate': locomotion.sizes.learningRate,
        updates: Object.values(locomotion.cells)
          .map(({ plan }) => plan.steps)
          .join(', '),
      }
    : {}),
});

const reportOf = (lab: Lab, outcome: Outcome, reproduce: string): Report => ({
  title: 'H2O: when to trust a simulator',
  question:
    'A policy is to act in a real system, of which there is a fixed set of data and an imperfect ' +
    'simulator. When does what it learns in the simulator hold in reality? After Niu et al. 2022.',
  summary: [
    'All methods learn from the same real data and the same simulator, whose gravity, friction or ' +
      'actions are off; none acts in the real system, which is MuJoCo with the nominal parameters. ' +
      'SAC learns in the simulator alone; the mixture adds the real data; DARC corrects the ' +
      'simulator’s rewards by the ratio of dynamics; H2O weighs simulated errors by that ratio and ' +
      'lowers values where the gap is large.',
    'The seeds of a method are the members of one ensemble, trained together.',
  ],
  deviations,
  signatures: outcome.signatures.map((signature) =>
    forReport(signature, `after Niu et al. 2022, ${signature.paper}`),
  ),
  figures: figuresOf(outcome),
  settings: settingsOf(lab.recipe),
  manifest: { version: packageVersion, recipe: { ...lab.recipe } },
  reproduce: [reproduce],
  files: [
    { label: 'result.json: everything measured', path: 'result.json' },
    { label: 'points.csv: a line for each evaluation of each seed', path: 'points.csv' },
  ],
});

/** Returns the path of the report. */
export const writeOutcome = (
  study: Study,
  lab: Lab,
  outcome: Outcome,
  reproduce: string,
): Promise<string> =>
  writeStudy(
    study,
    { result: resultOf(lab, outcome), points: pointsCsv(lab) },
    reportOf(lab, outcome, reproduce),
  );
