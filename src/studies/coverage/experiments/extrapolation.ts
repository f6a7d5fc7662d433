// Extrapolation (Song et al. 2024, the section on function approximation and its two synthetic
// figures): with features that responses share, DPO and online RLHF raise the best response, which
// is in no pair, and lower both sides of the pairs; without, DPO cannot.
import { sumOf } from '../../../numbers.js';
import { exactKl } from '../../../policies/exact.js';
import type { EnumerablePolicy } from '../../../policies/index.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import { type Signature, above, below, measuredSignature } from '../../signature.js';
import type { Artefact } from '../../study.js';
import type { Lab } from '../lab.js';
import {
  armOf,
  band,
  change,
  decimals,
  last,
  list,
  overSeeds,
  stepAxis,
} from '../toys/curves.js';
import { type Features, type LinearWorld, dot, linearWorld } from '../toys/linear-world.js';
import { type Curves, type Method, trainToy } from '../toys/train.js';

const paper = 'the synthetic figures on extrapolation (appendix)';

interface ArmResult extends Curves {
  /** log pi / pi_ref times beta of each response: what DPO's policy is a reward model of. */
  readonly implicitRewards: readonly number[];
}

const measureOf = (world: LinearWorld) => {
  const reference = world.start();
  const { chosen, rejected } = world.shares;
  return (policy: EnumerablePolicy) => {
    const logProbs = policy.edgeLogProbs(0);
    const uniform = reference.edgeLogProbs(0);
    const over = (shares: Float64Array): number => dot([...shares], logProbs);
    return {
      chosen: over(chosen),
      rejected: over(rejected),
      best: logProbs[world.best]!,
      unseen: sumOf(world.unseen.map((response) => Math.exp(logProbs[response]!))),
      kl: exactKl(policy, reference),
      onData: (over(chosen) + over(rejected) - dot([...chosen], uniform) - dot([...rejected], uniform)) / 2,
    };
  };
};

const arm = (
  lab: Lab,
  seed: number,
  kind: Features,
  given: Method | Artefact<ArmResult>,
): Promise<Artefact<ArmResult>> => {
  const recipe = lab.recipe.extrapolation!;
  const { beta, samples, training } = recipe;
  // The most likely linear reward model is the one that DPO's log-linear policy is.
  const isFitted = 'result' in given;
  const settings = isFitted ? { name: 'rlhf', beta, samples } : given;
  return lab.stage({
    name: `extrapolation, ${kind} ${settings.name} (seed ${seed})`,
    settings: { recipe: { ...recipe }, kind, method: settings, seed },
    ...(isFitted ? { inputs: [given] } : {}),
    run: async (context) => {
      const world = linearWorld(recipe, kind, seed);
      const method: Method = isFitted
        ? { name: 'rlhf', beta, samples, rewards: given.result.implicitRewards }
        : given;
      const toy = { method, training, seed };
      const { policy, curves } = await trainToy(world, toy, measureOf(world), context);
      const reference = world.start().edgeLogProbs(0);
      const implicit = Array.from(policy.edgeLogProbs(0), (log, i) => beta * (log - reference[i]!));
      return { ...curves, implicitRewards: implicit };
    },
  });
};

interface Found {
  readonly dpo: Curves;
  readonly hypo: Curves;
  readonly rlhf: Curves;
  readonly oneHot: Curves;
}

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const { beta, lambda, samples } = lab.recipe.extrapolation!;
  const dpo = await arm(lab, seed, 'log-linear', { name: 'dpo', beta });
  const hypo = await arm(lab, seed, 'log-linear', { name: 'hypo', beta, lambda, samples });
  const rlhf = await arm(lab, seed, 'log-linear', dpo);
  const oneHot = await arm(lab, seed, 'one-hot', { name: 'dpo', beta });
  return { dpo: dpo.result, hypo: hypo.result, rlhf: rlhf.result, oneHot: oneHot.result };
};

type Runs = Readonly<Record<keyof Found, readonly Curves[]>>;

const changes = (runs: readonly Curves[], name: string): number[] =>
  runs.map((one) => change(one, name));

const summaryOf = (runs: readonly Curves[]): string =>
  ['chosen', 'rejected', 'best', 'kl']
    .map((name) => `${name} ${list(runs.map((one) => last(one, name)), 1)}`)
    .join('; ');

const signaturesOf = ({ dpo, hypo, rlhf, oneHot }: Runs): Signature[] => {
  const arms = `Ends, by seed. DPO: ${summaryOf(dpo)}. RLHF: ${summaryOf(rlhf)}. HyPO: ` +
    `${summaryOf(hypo)}. One-hot DPO: ${summaryOf(oneHot)}.`;
  const claim = (id: string, text: string) => ({ id, claim: `extrapolation: ${text}`, paper });
  const lower = dpo.map((one) => change(one, 'rejected') - change(one, 'chosen'));
  return [
    measuredSignature(
      claim('S2.5a', 'log-linear DPO raises log π of the best, unseen response by a nat or more'),
      overSeeds(changes(dpo, 'best')),
      above(1),
      arms,
    ),
    measuredSignature(
      claim('S2.5b', 'meanwhile mean log π of the chosen responses falls'),
      overSeeds(changes(dpo, 'chosen')),
      below(0),
      `online RLHF: ${decimals(overSeeds(changes(rlhf, 'chosen')).value)}`,
    ),
    measuredSignature(
      claim('S2.5c', 'that of the rejected responses falls faster'),
      overSeeds(lower),
      below(0),
      'change of mean log π of the rejected less that of the chosen responses',
    ),
    measuredSignature(
      claim('S2.5d', 'with one-hot features log π of the best response falls'),
      overSeeds(changes(oneHot, 'best')),
      below(0),
      'the control: nothing is shared between responses',
    ),
    measuredSignature(
      claim('S2.5e', 'online RLHF raises the best response too'),
      overSeeds(changes(rlhf, 'best')),
      above(1),
      'its reward is the most likely linear one on the same pairs',
    ),
  ];
};

const labels = {
  dpo: 'log-linear DPO',
  rlhf: 'log-linear online RLHF',
  hypo: 'log-linear HyPO',
  oneHot: 'one-hot DPO',
} as const;

const responseFigure = async (runs: Runs): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'multiples',
    name: 'extrapolation-log-probs',
    columns: 2,
    panels: (['rlhf', 'dpo', 'hypo', 'oneHot'] as const).map((name) => ({
      kind: 'lines' as const,
      name: `extrapolation-${name.toLowerCase()}`,
      title: labels[name],
      x: stepAxis,
      y: { title: 'log-probability', unit: 'nats' },
      arms: [
        armOf('chosen, mean', runs[name], 'chosen'),
        armOf('rejected, mean', runs[name], 'rejected'),
        armOf('best, unseen', runs[name], 'best'),
      ],
    })),
  })),
  title: 'The best response is in no pair',
  caption: `Log-probabilities along training. ${band}`,
  claim:
    'With function approximation both online RLHF and DPO raise the best response and lower the ' +
    'preferred ones.',
  signatures: ['S2.5a', 'S2.5b', 'S2.5c', 'S2.5d', 'S2.5e'],
});

const klFigure = async (runs: Runs): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'lines',
    name: 'extrapolation-kl-on-data',
    x: stepAxis,
    y: { title: 'mean log π/π_ref', unit: 'nats' },
    arms: [
      armOf('DPO, own responses: the KL', runs.dpo, 'kl'),
      armOf('DPO, responses of the data', runs.dpo, 'onData'),
      armOf('HyPO, own responses: the KL', runs.hypo, 'kl'),
      armOf('HyPO, responses of the data', runs.hypo, 'onData'),
    ],
  })),
  title: 'The KL, and what the data shows of it',
  caption: `Along the responses of the pairs the log-ratio falls while the KL rises. ${band}`,
});

const findings = async (_: Lab, found: readonly Found[]): Promise<Findings> => {
  const of = (name: keyof Found): Curves[] => found.map((one) => one[name]);
  const runs: Runs = { dpo: of('dpo'), hypo: of('hypo'), rlhf: of('rlhf'), oneHot: of('oneHot') };
  const measures = ['chosen', 'rejected', 'best', 'unseen', 'kl', 'onData'];
  const endsOf = (arms: readonly Curves[]) =>
    Object.fromEntries(measures.map((name) => [name, arms.map((one) => last(one, name))]));
  return {
    signatures: signaturesOf(runs),
    figures: [await responseFigure(runs), await klFigure(runs)],
    data: Object.fromEntries(Object.entries(runs).map(([name, arms]) => [name, endsOf(arms)])),
  };
};

export const extrapolation: Experiment<Lab, Found> = {
  id: 'extrapolation',
  title: 'Extrapolation',
  includes: ({ recipe }) => recipe.extrapolation !== null,
  run,
  findings,
};
