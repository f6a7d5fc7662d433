// Displacement (the figure of Song et al. 2024 on probability out of distribution, without function
// approximation): what DPO takes from the covered responses goes in part to those in no pair. With
// a uniform reference it does not; it takes a reference that prefers bad covered responses.
import { random } from '../../../data/random.js';
import { massOutside } from '../../../evaluation/coverage.js';
import { sumOf } from '../../../numbers.js';
import { exactKl } from '../../../policies/exact.js';
import { type EnumerablePolicy, ResponseSpace, tabularPolicy } from '../../../policies/index.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import { type Signature, above, below, measuredSignature, notTested } from '../../signature.js';
import type { Artefact } from '../../study.js';
import type { Lab } from '../lab.js';
import type { Displacement } from '../recipe.js';
import {
  armOf,
  band,
  decimals,
  first,
  klAxis,
  last,
  list,
  overSeeds,
  peak,
  stepAxis,
} from '../toys/curves.js';
import { type Curves, type Method, trainToy } from '../toys/train.js';
import { type ToyWorld, groupsOf, labelledPairs } from '../toys/world.js';

const paper = 'the synthetic figure on responses out of distribution (appendix)';

const worldOf = (recipe: Displacement, seed: number): ToyWorld => {
  const { covered, uncovered, uncoveredReward, uncoveredMass, skew, pairs: count } = recipe;
  const stream = random(seed, 'reward');
  const rewards = Array.from({ length: covered + uncovered }, (_, i) =>
    i < covered ? stream.gaussian() : uncoveredReward,
  );
  const among = [...rewards.keys()].slice(0, covered);
  const total = sumOf(among.map((response) => Math.exp(skew * rewards[response]!)));
  const rest = Math.log((total * uncoveredMass) / (1 - uncoveredMass) / uncovered);
  const logits = (_: number, i: number): number => (i < covered ? skew * rewards[i]! : rest);
  const space = ResponseSpace.of(rewards.map((_, i) => [i]));
  const pairs = labelledPairs({ rewards, among, count, seed });
  return { space, pairs, start: () => tabularPolicy({ space, logits }) };
};

const measureOf = (world: ToyWorld) => {
  const reference = world.start();
  const data = groupsOf(world.pairs);
  return (policy: EnumerablePolicy) => ({
    outside: massOutside(policy, data),
    kl: exactKl(policy, reference),
  });
};

const arm = (lab: Lab, seed: number, lambda: number): Promise<Artefact<Curves>> => {
  const recipe = lab.recipe.displacement!;
  const { beta, samples, training } = recipe;
  const method: Method =
    lambda === 0 ? { name: 'dpo', beta } : { name: 'hypo', beta, lambda, samples };
  return lab.stage({
    name: `displacement, ${lambda === 0 ? 'dpo' : `hypo, lambda ${lambda}`} (seed ${seed})`,
    settings: { recipe: { ...recipe, lambdas: [] }, method, seed },
    run: async (context) => {
      const world = worldOf(recipe, seed);
      return (await trainToy(world, { method, training, seed }, measureOf(world), context)).curves;
    },
  });
};

interface Found {
  readonly dpo: Curves;
  /** By lambda, as in the recipe. */
  readonly hypo: readonly Curves[];
}

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const dpo = (await arm(lab, seed, 0)).result;
  const hypo: Curves[] = [];
  for (const lambda of lab.recipe.displacement!.lambdas) {
    hypo.push((await arm(lab, seed, lambda)).result);
  }
  return { dpo, hypo };
};

const bounding = 0.01;

const signaturesOf = ({ lambdas }: Displacement, found: readonly Found[]): Signature[] => {
  const rises = found.map(({ dpo }) => peak(dpo, 'outside') / first(dpo, 'outside'));
  const claim = {
    id: 'S2.6b',
    claim: `displacement: HyPO's peak (lambda from ${bounding} up) is below that of DPO`,
    paper,
  };
  const ratios = lambdas.map((lambda, i) => ({
    lambda,
    values: found.map(({ dpo, hypo }) => peak(hypo[i]!, 'outside') / peak(dpo, 'outside')),
  }));
  const tested = ratios
    .filter(({ lambda }) => lambda >= bounding)
    .map((each) => ({ ...each, ...overSeeds(each.values) }))
    .sort((a, b) => b.value - a.value);
  const [worst] = tested;
  return [
    measuredSignature(
      {
        id: 'S2.6a',
        claim: 'displacement: probability outside the data rises to twice its start under DPO',
        paper,
      },
      overSeeds(rises),
      above(2),
      `peak over start, by seed: ${list(rises)}; at the end ` +
        `${list(found.map(({ dpo }) => last(dpo, 'outside')), 5)}: the rise is transient`,
    ),
    worst
      ? measuredSignature(
          claim,
          worst,
          below(1),
          `peak of HyPO over that of DPO, at the lambda where it is largest (${worst.lambda}). All: ` +
            ratios.map(({ lambda, values }) => `lambda ${lambda}: ${list(values)}`).join('; '),
        )
      : notTested(claim.id, claim.claim, paper, `no lambda is from ${bounding} up`),
  ];
};

const figureOf = async (
  name: 'outside' | 'kl',
  { lambdas }: Displacement,
  found: readonly Found[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'lines',
    name: `displacement-${name}`,
    x: stepAxis,
    y: name === 'kl' ? klAxis : { title: 'probability outside the data' },
    arms: [
      armOf(
        'DPO',
        found.map(({ dpo }) => dpo),
        name,
      ),
      ...lambdas.map((lambda, i) =>
        armOf(
          `HyPO, lambda ${lambda}`,
          found.map(({ hypo }) => hypo[i]!),
          name,
        ),
      ),
    ],
  })),
  title: name === 'kl' ? 'The KL of these arms' : 'Probability of responses that are in no pair',
  caption:
    name === 'kl'
      ? `Exact. ${band}`
      : `A tabular policy whose reference prefers bad covered responses. Exact. ${band}`,
  claim:
    name === 'kl'
      ? 'HyPO keeps the KL below that of DPO.'
      : 'Without function approximation DPO raises responses out of distribution.',
  signatures: ['S2.6a', 'S2.6b'],
});

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const recipe = lab.recipe.displacement!;
  const rows = [
    { lambda: 0, runs: found.map(({ dpo }) => dpo) },
    ...recipe.lambdas.map((lambda, i) => ({ lambda, runs: found.map(({ hypo }) => hypo[i]!) })),
  ];
  return {
    signatures: signaturesOf(recipe, found),
    figures: [
      await figureOf('outside', recipe, found),
      await figureOf('kl', recipe, found),
    ],
    data: {
      arms: rows.map(({ lambda, runs }) => ({
        lambda,
        start: runs.map((one) => first(one, 'outside')),
        peak: runs.map((one) => peak(one, 'outside')),
        end: runs.map((one) => last(one, 'outside')),
        kl: runs.map((one) => Number(decimals(last(one, 'kl'), 4))),
      })),
    },
  };
};

export const displacement: Experiment<Lab, Found> = {
  id: 'displacement',
  title: 'Displacement',
  includes: ({ recipe }) => recipe.displacement !== null,
  run,
  findings,
};
