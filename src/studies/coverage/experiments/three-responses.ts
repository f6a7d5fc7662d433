// Why offline contrast is not enough (Song et al. 2024, section 4): three responses, of which the
// data compares two. The loss of DPO says how the two stand to each other and nothing of the third,
// so that its optimum is reached by policies that all but always give the third. RLHF pays for the
// KL on samples of the policy, and so does HyPO, which needs no reward for it.
import { exactKl } from '../../../policies/exact.js';
import {
  type EnumerablePolicy,
  ResponseSpace,
  logLinearPolicy,
  tabularPolicy,
} from '../../../policies/index.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import { type Signature, above, below, measuredSignature } from '../../signature.js';
import type { Artefact } from '../../study.js';
import type { Lab } from '../lab.js';
import type { ThreeResponses } from '../recipe.js';
import { armOf, band, decimals, klAxis, last, list, overSeeds, stepAxis } from '../toys/curves.js';
import { type Curves, type Method, trainToy } from '../toys/train.js';
import { type ToyWorld, pairOf } from '../toys/world.js';

const [better, worse, third] = [0, 1, 2];
const paper = 'section 4, the construction behind theorems 4.2 and 4.3';

/** What follows from the recipe in closed form. */
export const factsOf = ({ comparisons, preferred, beta, lambda }: ThreeResponses) => {
  const p = preferred / comparisons;
  const gap = Math.log(p / (1 - p)); // of rewards, where the loss has its optimum
  const optimum = -p * Math.log(p) - (1 - p) * Math.log(1 - p);
  return {
    gap,
    optimum,
    /** |reward| of a model that tells the two apart and gives the third as much as the better. */
    rewards: [gap / 2, -gap / 2, gap / 2],
    /** log pi(better) / pi(worse) of the policies with that loss. */
    logOdds: gap / beta,
    // Whatever minimises reward less beta KL, or loss plus lambda KL, does no worse than pi_ref.
    rlhfBound: gap / beta,
    hypoBound: (Math.LN2 - optimum) / lambda,
  };
};

const spaceOf = (): ResponseSpace => ResponseSpace.of([[better], [worse], [third]]);

const pairsOf = ({ comparisons, preferred }: ThreeResponses) =>
  Array.from({ length: comparisons }, (_, i) =>
    i < preferred ? pairOf(better, worse, `pair ${i}`) : pairOf(worse, better, `pair ${i}`),
  );

const referenceLogits = ({ rare }: ThreeResponses) => {
  const logits = [0, 0, rare + Math.LN2];
  return (_: number, response: number): number => logits[response]!;
};

/** One parameter: it raises the better response, lowers the worse, and raises the third most. */
const sharedWorld = (recipe: ThreeResponses): ToyWorld => {
  const features = [[1], [-1], [recipe.slope]];
  const space = spaceOf();
  const logits = referenceLogits(recipe);
  return {
    space,
    pairs: pairsOf(recipe),
    start: () => logLinearPolicy({ space, logits, features: (_, response) => features[response]! }),
  };
};

const tabularWorld = (recipe: ThreeResponses): ToyWorld => {
  const space = spaceOf();
  const logits = referenceLogits(recipe);
  return { space, pairs: pairsOf(recipe), start: () => tabularPolicy({ space, logits }) };
};

/** At DPO's optimum whatever the third response's logit is. */
const optimalWith = (space: ResponseSpace, recipe: ThreeResponses, logit: number) => {
  const { logOdds } = factsOf(recipe);
  const logits = [logOdds / 2, -logOdds / 2, logit];
  return tabularPolicy({ space, logits: (_, response) => logits[response]! });
};

/** The loss of DPO over all pairs less its infimum. */
const excessOf = (policy: EnumerablePolicy, recipe: ThreeResponses): number => {
  const { comparisons, preferred, beta } = recipe;
  const logProbs = policy.edgeLogProbs(0);
  const margin = beta * (logProbs[better]! - logProbs[worse]!);
  const p = preferred / comparisons;
  const loss = p * Math.log1p(Math.exp(-margin)) + (1 - p) * Math.log1p(Math.exp(margin));
  return loss - factsOf(recipe).optimum;
};

const measureOf = (world: ToyWorld, recipe: ThreeResponses) => {
  const reference = world.start();
  return (policy: EnumerablePolicy) => ({
    kl: exactKl(policy, reference),
    third: Math.exp(policy.edgeLogProbs(0)[third]!),
    excess: excessOf(policy, recipe),
  });
};

const starts = { reference: 'from the reference', away: 'from 0.9 on the third response' } as const;
type Start = keyof typeof starts;

const names = ['dpo', 'ipo', 'hypo', 'rlhf'] as const;
type Name = (typeof names)[number];

const methodOf = (name: Name, recipe: ThreeResponses): Method => {
  const { beta, ipoBeta, lambda, samples } = recipe;
  if (name === 'hypo') return { name, beta, lambda, samples };
  if (name === 'rlhf') return { name, beta, samples, rewards: factsOf(recipe).rewards };
  return { name, beta: name === 'ipo' ? ipoBeta : beta };
};

const arm = (
  lab: Lab,
  seed: number,
  start: Start,
  name: Name,
): Promise<Artefact<Curves>> => {
  const recipe = lab.recipe.threeResponses!;
  const method = methodOf(name, recipe);
  return lab.stage({
    name: `three responses, ${name} ${starts[start]} (seed ${seed})`,
    settings: { recipe: { ...recipe }, start, method, seed },
    run: async (context) => {
      const world = start === 'reference' ? sharedWorld(recipe) : tabularWorld(recipe);
      const { logOdds } = factsOf(recipe);
      const logit = Math.log(9 * 2 * Math.cosh(logOdds / 2)); // nine times the other two
      const { curves } = await trainToy(
        world,
        {
          method,
          training: recipe.training,
          seed,
          order: 'sequential',
          ...(start === 'away' ? { from: optimalWith(world.space, recipe, logit) } : {}),
        },
        measureOf(world, recipe),
        context,
      );
      return curves;
    },
  });
};

interface Found {
  readonly reference: Readonly<Record<Name, Curves>>;
  readonly away: Readonly<Record<Exclude<Name, 'ipo'>, Curves>>;
}

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const of = async (start: Start, name: Name) => (await arm(lab, seed, start, name)).result;
  return {
    reference: {
      dpo: await of('reference', 'dpo'),
      ipo: await of('reference', 'ipo'),
      hypo: await of('reference', 'hypo'),
      rlhf: await of('reference', 'rlhf'),
    },
    away: {
      dpo: await of('away', 'dpo'),
      hypo: await of('away', 'hypo'),
      rlhf: await of('away', 'rlhf'),
    },
  };
};

const ends = (runs: readonly Curves[], name: string): number[] => runs.map((one) => last(one, name));

const signaturesOf = (recipe: ThreeResponses, found: readonly Found[]): Signature[] => {
  const { rlhfBound, hypoBound } = factsOf(recipe);
  const both = (name: 'dpo' | 'hypo' | 'rlhf'): Curves[] =>
    found.flatMap(({ reference, away }) => [reference[name], away[name]]);
  const dpo = both('dpo');
  const kls = ends(dpo, 'kl');
  const shares = [
    ...ends(both('hypo'), 'kl').map((kl) => kl / hypoBound),
    ...ends(both('rlhf'), 'kl').map((kl) => kl / rlhfBound),
  ];
  const ipo = ends(
    found.map(({ reference }) => reference.ipo),
    'kl',
  );
  return [
    measuredSignature(
      { id: 'T1a', claim: 'three responses: DPO ends within 1e-6 of its least loss', paper },
      { value: Math.max(...ends(dpo, 'excess')), interval: null },
      below(1e-6),
      'largest excess of the loss over its infimum, of all seeds and both starts',
    ),
    measuredSignature(
      { id: 'T1b', claim: 'three responses: there its reverse KL is above 20 nats', paper },
      { value: Math.min(...kls), interval: null },
      above(20),
      `smallest KL of all seeds and both starts; IPO from the reference ends at ${list(ipo, 1)}`,
    ),
    measuredSignature(
      {
        id: 'T1c',
        claim: 'three responses: RLHF and HyPO stay within the KL that their objectives promise',
        paper,
      },
      { value: Math.max(...shares), interval: null },
      below(1),
      `largest KL over its bound. RLHF: 2R/beta = ${decimals(rlhfBound)} nats, found ` +
        `${list(ends(both('rlhf'), 'kl'))}; HyPO: (ln 2 - least loss)/lambda = ` +
        `${decimals(hypoBound)} nats, found ${list(ends(both('hypo'), 'kl'))}`,
    ),
  ];
};

const trainingFigure = async (
  start: Start,
  arms: readonly (readonly [string, readonly Curves[]])[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'lines',
    name: `three-responses-${start}`,
    x: stepAxis,
    y: klAxis,
    arms: arms.map(([label, runs]) => armOf(label, runs, 'kl')),
  })),
  title: `Three responses, ${starts[start]}`,
  caption:
    start === 'reference'
      ? `A policy whose one parameter raises the better response and, more, the third. ${band}`
      : 'A tabular policy at the optimum of the loss of DPO, which gives the third response nine ' +
        `times in ten. ${band}`,
  claim: 'The KL of DPO is unbounded at the optimum of its loss; that of RLHF is bounded.',
  signatures: ['T1a', 'T1b', 'T1c'],
});

/** Policies that all have the least loss of DPO, by the logit of the third response. */
const familyFigure = async (recipe: ThreeResponses): Promise<ReportFigure> => {
  const { lambda, beta } = recipe;
  const { rewards } = factsOf(recipe);
  const world = tabularWorld(recipe);
  const reference = world.start();
  const logits = Array.from({ length: 61 }, (_, i) => recipe.rare + (2 * i * -recipe.rare) / 60);
  const losses = logits.map((logit) => {
    const policy = optimalWith(world.space, recipe, logit);
    const kl = exactKl(policy, reference);
    const reward = policy
      .edgeLogProbs(0)
      .reduce((sum, log, response) => sum + Math.exp(log) * rewards[response]!, 0);
    const excess = excessOf(policy, recipe);
    return { x: logit, dpo: excess, hypo: excess + lambda * kl, rlhf: beta * kl - reward };
  });
  const line = (label: string, name: 'dpo' | 'hypo' | 'rlhf') => {
    const least = Math.min(...losses.map((each) => each[name]));
    return { label, points: losses.map((each) => ({ x: each.x, y: each[name] - least })) };
  };
  return {
    ...(await renderChart({
      kind: 'lines',
      name: 'three-responses-family',
      x: { title: 'logit of the third response' },
      y: { title: 'loss above the least one' },
      arms: [line('DPO', 'dpo'), line('HyPO', 'hypo'), line('RLHF', 'rlhf')],
    })),
    title: 'All of these policies are optimal for DPO',
    caption:
      'Policies with the ratio of the two compared responses that minimises the loss of DPO; on the ' +
      'right they give the third response, which the reference hardly ever gives. Exact.',
    claim: 'Offline contrastive losses cannot tell these policies apart; losses with the KL can.',
    signatures: ['T1a', 'T1b'],
  };
};

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const recipe = lab.recipe.threeResponses!;
  const from = (name: Name) => found.map(({ reference }) => reference[name]);
  const back = (name: 'dpo' | 'hypo' | 'rlhf') => found.map(({ away }) => away[name]);
  return {
    signatures: signaturesOf(recipe, found),
    figures: [
      await familyFigure(recipe),
      await trainingFigure('reference', [
        ['DPO', from('dpo')],
        ['IPO', from('ipo')],
        ['HyPO', from('hypo')],
        ['RLHF', from('rlhf')],
      ]),
      await trainingFigure('away', [
        ['DPO', back('dpo')],
        ['HyPO', back('hypo')],
        ['RLHF', back('rlhf')],
      ]),
    ],
    data: {
      facts: factsOf(recipe),
      kl: Object.fromEntries(names.map((name) => [name, overSeeds(ends(from(name), 'kl'))])),
    },
  };
};

export const threeResponses: Experiment<Lab, Found> = {
  id: 'three-responses',
  title: 'Three responses',
  includes: ({ recipe }) => recipe.threeResponses !== null,
  run,
  findings,
};
