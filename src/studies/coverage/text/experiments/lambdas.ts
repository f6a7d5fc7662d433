// The weight of the reverse KL (Song et al. 2024, the lambda of their algorithm 1), from none to much.
import { bootstrapInterval, mean } from '../../../../evaluation/statistics.js';
import { renderChart } from '../../../../report/charts.js';
import type { ReportFigure } from '../../../../report/report.js';
import type { Experiment, Findings } from '../../../experiment.js';
import { type Signature, above, below, measuredSignature } from '../../../signature.js';
import type { Lab } from '../../lab.js';
import { type Measured, decimals, overSeeds } from '../../toys/curves.js';
import { type ArmRun, methodsOf } from '../lab.js';
import type { Point } from '../measure.js';
import type { TextRecipe } from '../recipe.js';
import {
  bandOf,
  bandText,
  endNumbers,
  ends,
  heldOut,
  klAxis,
  klOf,
  pairedWins,
  winRateAxis,
  winRateOf,
} from '../summary.js';

interface Found {
  readonly dpo: ArmRun;
  /** By lambda, 0 first. */
  readonly levels: readonly ArmRun[];
}

interface Level {
  readonly lambda: number;
  readonly runs: readonly ArmRun[];
}

const lambdasOf = ({ lambdas, hypo }: TextRecipe): number[] =>
  [...new Set([0, hypo.lambda, ...lambdas])].sort((a, b) => a - b);

const run = async ({ text }: Lab, seed: number): Promise<Found> => {
  const lab = text!;
  const { dpo, hypo } = methodsOf(lab.recipe);
  const levels: ArmRun[] = [];
  for (const lambda of lambdasOf(lab.recipe)) {
    levels.push(await lab.arm({ method: { ...hypo, lambda }, seed }));
  }
  return { dpo: await lab.arm({ method: dpo, seed }), levels };
};

const paper = 'algorithm 1 and the table of hyper-parameters';

const highest = ({ value, interval }: Measured): number => interval?.[1] ?? value;

const monotone = (levels: readonly Level[]): Signature => {
  const kls = levels.map(({ runs }) => ends(runs, klOf));
  const worst = kls
    .slice(1)
    .map((found, i) => overSeeds(found.map((kl, seed) => kl - kls[i]![seed]!)))
    .reduce((a, b) => (highest(b) > highest(a) ? b : a));
  const texts = levels.map(({ lambda }, i) => `${lambda}: ${decimals(mean(kls[i]!), 3)}`);
  return measuredSignature(
    { id: 'S2.3a', claim: 'KL at the end does not rise with lambda', paper },
    worst,
    below(0),
    'the value is the change from one lambda to the next whose interval reaches highest; means over ' +
      `seeds: ${texts.join(', ')}`,
  );
};

const bitwise = (dpo: readonly ArmRun[], { runs }: Level): Signature => {
  const differing = runs.filter(
    ({ result }, i) => result.weights !== dpo[i]!.result.weights,
  ).length;
  return measuredSignature(
    { id: 'S2.3b', claim: 'HyPO with lambda 0 ends in the weights of DPO, bit by bit', paper },
    { value: differing, interval: null },
    below(0),
    `seeds whose weights differ, of ${runs.length}; samples are drawn in both arms' place all the same`,
  );
};

/** The best lambda of one half of the prompts, compared on the other, both ways. */
const bestLambda = (dpo: readonly ArmRun[], levels: readonly Level[]): Signature => {
  const all = levels.map(({ lambda, runs }) => ({ lambda, gains: pairedWins(runs, dpo) }));
  const onHalf = (gains: readonly number[], half: number): number =>
    mean(gains.filter((_, prompt) => prompt % 2 === half));
  const halves = [0, 1].map((half) => {
    const best = all.reduce((a, b) => (onHalf(b.gains, half) > onHalf(a.gains, half) ? b : a));
    return { lambda: best.lambda, gains: best.gains.filter((_, prompt) => prompt % 2 !== half) };
  });
  const gains = halves.flatMap((half) => half.gains);
  const texts = all.map(({ lambda, gains }) => `${lambda}: ${decimals(mean(gains), 3)}`);
  return measuredSignature(
    {
      id: 'S2.1c',
      claim: 'at some lambda above 0 the win rate of HyPO is at least that of DPO',
      paper: 'main table (TL;DR)',
    },
    { value: mean(gains), interval: bootstrapInterval(gains, mean) },
    above(0),
    'difference at the lambda that is best on one half of the prompts, on the other half, interval ' +
      'over prompts ' +
      `(chosen: ${halves.map(({ lambda }) => lambda).join(', ')}); by lambda: ${texts.join(', ')}`,
  );
};

const figureOf = async (
  name: 'kl' | 'win-rate',
  of: (point: Point) => number,
  levels: readonly Level[],
  dpo: readonly ArmRun[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'lines',
    name: `text-lambda-${name}`,
    x: { title: 'λ, weight of the reverse KL', scale: 'log' },
    y: name === 'kl' ? klAxis : winRateAxis,
    references: [{ y: mean(ends(dpo, of)), label: 'DPO (λ = 0)' }],
    arms: [
      { label: 'HyPO', points: levels.map(({ lambda, runs }) => bandOf(lambda, ends(runs, of))) },
    ],
  })),
  title: name === 'kl' ? 'λ against the KL at the end' : 'λ against the win rate at the end',
  caption: `λ multiplies the mean over samples of the sum over tokens. ${heldOut} ${bandText}`,
  signatures: name === 'kl' ? ['S2.3a', 'S2.3b'] : ['S2.1c'],
});

const findings = async ({ text }: Lab, found: readonly Found[]): Promise<Findings> => {
  const dpo = found.map((seed) => seed.dpo);
  const levels = lambdasOf(text!.recipe).map((lambda, i) => ({
    lambda,
    runs: found.map((seed) => seed.levels[i]!),
  }));
  const [zero, positive] = [levels[0]!, levels.slice(1)];
  return {
    signatures: [monotone(levels), bitwise(dpo, zero), bestLambda(dpo, positive)],
    figures: [
      await figureOf('kl', klOf, positive, dpo),
      await figureOf('win-rate', winRateOf, positive, dpo),
    ],
    data: { levels: levels.map(({ lambda, runs }) => ({ lambda, ...endNumbers(runs) })) },
  };
};

export const lambdas: Experiment<Lab, Found> = {
  id: 'lambda',
  title: 'The weight of the reverse KL',
  includes: ({ recipe }) => recipe.text !== null && recipe.text.lambdas.length > 0,
  run,
  findings,
};
