// What the study found: result.json, points.csv and the report.
import type { JsonObject } from '../../checkpoint/json.js';
import type { Report, Sample as ReportSample } from '../../report/report.js';
import { packageVersion } from '../../version.js';
import { type Outcome as StudyOutcome, figuresOf, forReport, writeStudy } from '../outcome.js';
import type { Signature } from '../signature.js';
import type { Study } from '../study.js';
import { type Arm, type ArmRun, methodName } from './arms.js';
import type { Lab } from './lab.js';
import type { Point } from './measure.js';
import { premisesOf } from './premises.js';
import type { Recipe } from './recipe.js';

export interface Outcome extends StudyOutcome {
  /** The start policy, measured. */
  readonly start: Point;
  readonly proxies: readonly { readonly seed: number; readonly validationAccuracy: number }[];
}

/** An arm in one row: what is the recipe's own is written out. */
const armRow = ({ source, objective, learningRate, seed, ...rest }: Arm, recipe: Recipe) => ({
  method: methodName(source),
  objective: objective.name,
  beta: 'beta' in objective ? objective.beta : null,
  lambda: 'lambda' in objective ? objective.lambda : null,
  // Of arms without trust rows stay as they were.
  ...('trust' in objective ? { penalty: objective.trust } : {}),
  ...('trust' in source ? { trust: source.trust } : {}),
  learningRate,
  seed,
  data: source.kind === 'offline' ? (source.data ?? 'D_golden') : null,
  pairs: source.kind === 'offline' ? (source.pairs ?? null) : null,
  syncEvery: source.kind === 'online' ? (source.syncEvery ?? 1) : null,
  steps: rest.steps ?? recipe.arm.steps,
  policy: rest.policy ?? recipe.sft.parameters,
  proxy: rest.proxy ?? recipe.proxy.parameters,
});

export const resultOf = (lab: Lab, outcome: Outcome): JsonObject => {
  const { recipe, golden, dataset } = lab;
  const { signatures, findings, start, proxies } = outcome;
  const premises = premisesOf(lab);
  const found = [...findings].flatMap(([id, { data }]) => (data ? [[id, data] as const] : []));
  return {
    study: 'performance-gap',
    paper: 'Tang et al. 2024, arXiv 2405.08448',
    version: packageVersion,
    recipe: premises.recipe,
    deviations: premises.deviations,
    golden: golden.result,
    dataset: dataset.result,
    proxies,
    signatures,
    start,
    experiments: Object.fromEntries(found),
    runs: lab.arms().map(({ name, arm, key, result: { points, self } }) => ({
      name,
      ...armRow(arm, recipe),
      key,
      self,
      points,
    })),
  };
};

const columns = [
  'step',
  'kl',
  'klError',
  'winRate',
  'proxyWinRate',
  'score',
  'proxyScore',
  'accuracy',
  'chosenDrift',
  'rejectedDrift',
  'length',
  'truncated',
] as const;

/** A line for each checkpoint. */
export const pointsCsv = (lab: Lab): string => {
  const lines: string[] = [];
  for (const { arm, result } of lab.arms()) {
    const row = armRow(arm, lab.recipe);
    if (lines.length === 0) lines.push([...Object.keys(row), ...columns].join());
    const own = Object.values(row).map((value) => value ?? '');
    for (const point of result.points) {
      lines.push([...own, ...columns.map((column) => point[column])].join());
    }
  }
  return [...lines, ''].join('\n');
};

const sourceOf = ({ paper }: Signature): string =>
  paper.startsWith('beyond') ? paper : `Tang et al. 2024, ${paper}`;

/** The last checkpoints of the first seed's online and offline baseline, where they were run. */
const samplesOf = (lab: Lab): ReportSample[] => {
  const seed = lab.recipe.seeds[0]!;
  const { objective, learningRate } = lab.baseline(seed);
  const isBaseline = ({ arm }: ArmRun): boolean =>
    arm.seed === seed &&
    arm.learningRate === learningRate &&
    JSON.stringify(arm.objective) === JSON.stringify(objective) &&
    Object.keys(arm.source).length === 1 &&
    [arm.steps, arm.policy, arm.proxy].every((value) => value === undefined);
  const runs = lab.arms().filter(isBaseline);
  const samples = (kind: 'online' | 'offline') =>
    runs.find(({ arm }) => arm.source.kind === kind)?.result.samples ?? [];
  const [online, offline] = [samples('online'), samples('offline')];
  return online.slice(0, 5).map(({ prompt, response, opponent }, i) => ({
    prompt,
    responses: [
      { label: 'online, last checkpoint', text: response },
      ...(offline[i] ? [{ label: 'offline, last checkpoint', text: offline[i].response }] : []),
      { label: 'golden policy', text: opponent },
    ],
  }));
};

const reportOf = (lab: Lab, outcome: Outcome, reproduce: string): Report => {
  const { signatures } = outcome;
  const { recipe, dataset } = lab;
  const premises = premisesOf(lab);
  const proxies = outcome.proxies.map((each) => each.validationAccuracy.toFixed(3)).join(', ');
  return {
    title: 'The performance gap between online and offline alignment',
    question:
      'When does preference tuning need fresh samples from the policy, and when will a fixed ' +
      'dataset do? After Tang et al. 2024: arms that differ in nothing but the source of pairs.',
    summary: [
      `${premises.labels}; a golden preference model learns from it and relabels the pairs ` +
        '(D_golden); a policy learns both responses of each pair (SFT); a proxy preference model ' +
        'learns from D_golden. The online arm trains on its own samples, labelled by the proxy; ' +
        'the offline arm on D_golden. The golden policy, trained online against the golden model, ' +
        'is the opponent in every win rate.',
      `${premises.golden} and turned ${dataset.result.changed.toFixed(3)} of the labels ` +
        `round. Validation accuracy of the proxies: ${proxies} (intended: 0.70 to 0.85).`,
    ],
    protocol: premises.protocol,
    deviations: premises.deviations,
    signatures: signatures.map((signature) => forReport(signature, sourceOf(signature))),
    figures: figuresOf(outcome),
    samples: samplesOf(lab),
    settings: {
      scale: recipe.scale,
      experiments: [...outcome.findings.keys()].join(', '),
      ...premises.settings,
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
      'offline lengths, of the online one': recipe.offline.steps.join(', '),
      'weak beta': recipe.weakBeta ?? 'none',
      'evaluation prompts': recipe.evaluation.prompts,
    },
    manifest: { version: packageVersion, recipe: premises.recipe },
    reproduce: [reproduce],
    files: [
      { label: 'result.json: everything measured', path: 'result.json' },
      { label: 'points.csv: a line for each checkpoint', path: 'points.csv' },
    ],
  };
};

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
