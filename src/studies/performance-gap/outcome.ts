// What the study found: result.json, points.csv and the report.
import type { JsonObject } from '../../checkpoint/json.js';
import type {
  Report,
  Sample as ReportSample,
  Signature as ReportSignature,
} from '../../report/report.js';
import { writeReport } from '../../report/write.js';
import { toJsonText } from '../../training/json-text.js';
import { packageVersion } from '../../version.js';
import type { Signature } from '../signature.js';
import type { Study } from '../study.js';
import type { ArmRun } from './arms.js';
import { figuresOf } from './figures.js';
import { type Runs, baselineOf } from './run.js';

export interface Outcome {
  readonly runs: Runs;
  readonly signatures: readonly Signature[];
}

/** Where the procedure is not the paper's, and why. */
export const deviations: readonly string[] = [
  'Decoder-only models of tens of thousands of parameters with random initial weights, on a ' +
    'synthetic world of text, instead of T5 models of 0.77 to 11 billion on four tasks.',
  'D_initial is labelled by a rule with noise instead of people.',
  'One world a run, with an SFT policy of its own; the paper has one SFT for the union of tasks.',
  'Seeds differ in the proxy, the order of the data and the samples; the golden model, D_golden, ' +
    'the SFT policy and the golden policy are shared. The paper reports no seeds.',
  'KL and win rate are measured on the same responses to the evaluation prompts.',
  'AdamW at a constant learning rate; the IPO loss as (gap - 1/(2 beta))^2; ties of the judge are ' +
    'dropped from the batch. The paper names no optimiser and no tie policy.',
  'Runs of the offline sweep have one length; the paper also has 20k steps, also for the offline ' +
    'arms on data of the final online policy, and one more beta, 1.',
  'Sizes, betas and learning rates of the scales ci and quick were chosen after looking at earlier ' +
    'runs on the world summarise. One of them, with a proxy of 9,000 parameters and offline arms at ' +
    'beta 0.03 too, left the gap undetermined (-0.02). These scales show; they do not test.',
];

const allArms = ({ seeds }: Runs): ArmRun[] =>
  seeds.flatMap(({ online, tandem, offline, shuffled, weak, bestOf2, endVersusEnd }) => [
    online,
    tandem,
    ...offline,
    ...shuffled,
    ...[weak, bestOf2].flatMap((regime) => (regime ? Object.values(regime) : [])),
    ...endVersusEnd,
  ]);

export const resultOf = ({ runs, signatures }: Outcome): JsonObject => {
  const { recipe, golden, dataset, start, seeds } = runs;
  return {
    study: 'performance-gap',
    paper: 'Tang et al. 2024, arXiv 2405.08448',
    version: packageVersion,
    recipe,
    deviations,
    golden: golden.result,
    dataset: dataset.result,
    proxies: seeds.map(({ seed, proxy }) => ({ seed, ...proxy.result })),
    signatures,
    start,
    runs: allArms(runs).map(({ name, arm, key, result: { points, self } }) => ({
      name,
      ...arm,
      key,
      self,
      points,
    })),
    stream: seeds.map(({ seed, stream }) => ({ seed, places: stream.places })),
  };
};

const columns = [
  'step',
  'kl',
  'klError',
  'winRate',
  'proxyWinRate',
  'accuracy',
  'chosenDrift',
  'rejectedDrift',
  'length',
  'truncated',
] as const;

/** A line for each checkpoint. */
export const pointsCsv = (runs: Runs): string => {
  const rows = allArms(runs).flatMap(({ arm, result }) =>
    result.points.map((point) =>
      [
        arm.method,
        arm.objective ?? 'ipo',
        arm.data ?? '',
        arm.beta,
        arm.learningRate,
        arm.seed,
        ...columns.map((column) => point[column]),
      ].join(),
    ),
  );
  return [
    ['method', 'objective', 'data', 'beta', 'learningRate', 'seed', ...columns].join(),
    ...rows,
    '',
  ].join('\n');
};

const forReport = ({
  id,
  claim,
  paper,
  verdict,
  value,
  interval,
  note,
}: Signature): ReportSignature => ({
  id,
  expected: claim,
  source: `Tang et al. 2024, ${paper}`,
  verdict,
  ...(value === null ? {} : { measured: value }),
  ...(interval === null ? {} : { interval }),
  note,
});

const samplesOf = ({ recipe, seeds }: Runs): ReportSample[] => {
  const [{ online, offline }] = seeds as [Runs['seeds'][number]];
  const other = baselineOf(recipe, offline).result.samples;
  return online.result.samples.slice(0, 5).map((sample, i) => ({
    prompt: sample.prompt,
    responses: [
      { label: 'online, last checkpoint', text: sample.response },
      { label: 'offline, last checkpoint', text: other[i]?.response ?? '' },
      { label: 'golden policy', text: sample.opponent },
    ],
  }));
};

const reportOf = async (outcome: Outcome, reproduce: string): Promise<Report> => {
  const { runs, signatures } = outcome;
  const { recipe, golden, dataset, seeds } = runs;
  const proxies = seeds.map(({ proxy }) => proxy.result.validationAccuracy.toFixed(3)).join(', ');
  return {
    title: 'The performance gap between online and offline alignment',
    question:
      'When does preference tuning need fresh samples from the policy, and when will a fixed ' +
      'dataset do? After Tang et al. 2024: arms that differ in nothing but the source of pairs.',
    summary: [
      'A rater labels D_initial; a golden preference model learns from it and relabels the pairs ' +
        '(D_golden); a policy learns both responses of each pair (SFT); a proxy preference model ' +
        'learns from D_golden. The online arm trains on its own samples, labelled by the proxy; ' +
        'the offline arm on D_golden. The golden policy, trained online against the golden model, ' +
        'is the opponent in every win rate.',
      `The golden model agrees with the rater's noise-free score on ` +
        `${golden.result.raterAgreement.toFixed(3)} of held-out pairs and turned ` +
        `${dataset.result.changed.toFixed(3)} of the labels round. Validation accuracy of the ` +
        `proxies: ${proxies} (intended: 0.70 to 0.85).`,
      `Deviations from the paper: ${deviations.join(' ')}`,
    ],
    signatures: signatures.map(forReport),
    figures: await figuresOf(runs),
    samples: samplesOf(runs),
    settings: {
      scale: recipe.scale,
      world: recipe.world,
      seeds: recipe.seeds.join(', '),
      pairs: recipe.pairs,
      'golden parameters': recipe.golden.parameters,
      'policy parameters': recipe.sft.parameters,
      'proxy parameters': recipe.proxy.parameters,
      steps: recipe.arm.steps,
      'batch size': recipe.arm.batchSize,
      'learning rate': recipe.arm.learningRate,
      beta: recipe.arm.beta,
      'offline learning rates': recipe.offline.learningRates.join(', '),
      'offline betas': recipe.offline.betas.join(', '),
      'weak beta': recipe.weakBeta ?? 'none',
      'evaluation prompts': recipe.evaluation.prompts,
    },
    manifest: { version: packageVersion, recipe },
    reproduce: [reproduce],
    files: [
      { label: 'result.json: everything measured', path: 'result.json' },
      { label: 'points.csv: a line for each checkpoint', path: 'points.csv' },
    ],
  };
};

export const writeOutcome = async (
  study: Study,
  outcome: Outcome,
  reproduce: string,
): Promise<string> => {
  await study.write('result.json', `${toJsonText(resultOf(outcome))}\n`);
  await study.write('points.csv', pointsCsv(outcome.runs));
  const { page } = await writeReport(study.folder, await reportOf(outcome, reproduce));
  return page;
};
