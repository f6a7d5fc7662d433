// The main table (Song et al. 2024, TL;DR): win rate, reward-model score and KL of DPO and HyPO, for
// one or two sizes of the policy.
import { mean } from '../../../../evaluation/statistics.js';
import { renderChart } from '../../../../report/charts.js';
import type { Bar } from '../../../../report/chart.js';
import type { ReportFigure } from '../../../../report/report.js';
import type { Experiment, Findings } from '../../../experiment.js';
import { type Signature, above, below, measuredSignature } from '../../../signature.js';
import type { Lab } from '../../lab.js';
import { decimals, list, overSeeds } from '../../toys/curves.js';
import { type ArmRun, methodsOf } from '../lab.js';
import type { Point } from '../measure.js';
import type { TextRecipe } from '../recipe.js';
import {
  deviation,
  endNumbers,
  ends,
  heldOut,
  klAxis,
  klOf,
  meanAndDeviation,
  winDifference,
  winRateAxis,
  winRateOf,
} from '../summary.js';

interface Pair<Item> {
  readonly dpo: Item;
  readonly hypo: Item;
}

/** By size of the policy. */
type Found = readonly Pair<ArmRun>[];

interface Row extends Pair<readonly ArmRun[]> {
  readonly parameters: number;
  readonly start: Point;
}

const sizesOf = ({ sft, large }: TextRecipe): number[] => [
  sft.parameters,
  ...(large === null ? [] : [large]),
];

const settingOf = ({ sft }: TextRecipe, parameters: number) =>
  parameters === sft.parameters ? {} : { policy: parameters };

const run = async ({ text }: Lab, seed: number): Promise<Found> => {
  const lab = text!;
  const { dpo, hypo } = methodsOf(lab.recipe);
  const found: Pair<ArmRun>[] = [];
  for (const parameters of sizesOf(lab.recipe)) {
    const setting = settingOf(lab.recipe, parameters);
    await lab.start(setting);
    found.push({
      dpo: await lab.arm({ method: dpo, seed, ...setting }),
      hypo: await lab.arm({ method: hypo, seed, ...setting }),
    });
  }
  return found;
};

const rewardOf = ({ rewardScore }: Point): number => rewardScore;

const both = ({ dpo, hypo }: Row, of: (point: Point) => number): string =>
  `mean (standard deviation) over seeds, HyPO against DPO: ` +
  `${meanAndDeviation(ends(hypo, of))} against ${meanAndDeviation(ends(dpo, of))}`;

/** Of signatures of the second, larger size. */
const suffixOf = (size: number): string => (size === 0 ? '' : '-large');

const signaturesOf = (row: Row, suffix: string, lambda: number): Signature[] => {
  const { dpo, hypo, parameters } = row;
  const named = (id: string, text: string) => ({
    id: `${id}${suffix}`,
    claim: `policy of ${parameters} parameters: ${text}`,
    paper: 'main table (TL;DR)',
  });
  const [ours, theirs] = [ends(hypo, klOf), ends(dpo, klOf)];
  const ratios = ours.map((kl, i) => kl / theirs[i]!);
  const rewards = [hypo, dpo].map((runs) => ends(runs, rewardOf));
  const differences = rewards[0]!.map((score, i) => score - rewards[1]![i]!);
  const error = deviation(differences) / Math.sqrt(differences.length);
  return [
    measuredSignature(
      named('S2.1a', 'KL at the end of HyPO is at most 0.8 of that of DPO'),
      overSeeds(ratios),
      below(0.8),
      `ratios by seed: ${list(ratios)}; lambda ${lambda}; ${both(row, klOf)}`,
    ),
    measuredSignature(
      named('S2.1b', 'at that lambda the win rate of HyPO is at least that of DPO less 0.01'),
      winDifference(hypo, dpo),
      above(-0.01),
      `difference, interval over prompts; ${both(row, winRateOf)}`,
    ),
    measuredSignature(
      named('S2.4', 'reward-model score of HyPO at least that of DPO less one standard error'),
      overSeeds(differences),
      above(-error),
      `difference; its standard error over seeds is ${decimals(error, 3)}; ${both(row, rewardOf)}`,
    ),
  ];
};

const metrics = [
  { name: 'win-rate', title: 'Win rate', axis: winRateAxis, of: winRateOf, signature: 'S2.1b' },
  {
    name: 'reward-score',
    title: 'Reward-model score',
    axis: { title: 'mean score of the reward model of D' },
    of: rewardOf,
    signature: 'S2.4',
  },
  { name: 'kl', title: 'KL', axis: klAxis, of: klOf, signature: 'S2.1a' },
] as const;

const barOf = (category: string, arm: string, values: readonly number[]): Bar => {
  const value = mean(values);
  const spread = deviation(values);
  const ends = values.length < 2 ? {} : { low: value - spread, high: value + spread };
  return { category, arm, value, ...ends };
};

const figureOf = async (
  { name, title, axis, of, signature }: (typeof metrics)[number],
  rows: readonly Row[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name: `text-table-${name}`,
    value: axis,
    bars: rows.flatMap(({ parameters, start, dpo, hypo }) => {
      const category = `${parameters} parameters`;
      return [
        ...(name === 'kl' ? [] : [barOf(category, 'SFT', [of(start)])]),
        barOf(category, 'DPO', ends(dpo, of)),
        barOf(category, 'HyPO', ends(hypo, of)),
      ];
    }),
  })),
  title: `${title} at the end of training`,
  caption: `${heldOut} Bars are means over seeds, whiskers one standard deviation.`,
  claim: 'HyPO wins on all three metrics at both sizes; the fall of the KL is the largest effect.',
  signatures: rows.map((_, i) => signature + suffixOf(i)),
});

const findings = async ({ text }: Lab, found: readonly Found[]): Promise<Findings> => {
  const { recipe } = text!;
  const rows: Row[] = [];
  for (const [i, parameters] of sizesOf(recipe).entries()) {
    const { point } = (await text!.start(settingOf(recipe, parameters))).result;
    const [dpo, hypo] = [found.map((of) => of[i]!.dpo), found.map((of) => of[i]!.hypo)];
    rows.push({ parameters, start: point, dpo, hypo });
  }
  const signatures = rows.flatMap((row, i) =>
    signaturesOf(row, suffixOf(i), recipe.hypo.lambda),
  );
  const figures: ReportFigure[] = [];
  for (const metric of metrics) {
    figures.push(await figureOf(metric, rows));
  }
  return {
    signatures,
    figures,
    data: {
      rows: rows.map(({ parameters, start: { outcomes: _, ...start }, dpo, hypo }) => ({
        parameters,
        start,
        dpo: endNumbers(dpo),
        hypo: endNumbers(hypo),
      })),
    },
  };
};

export const mainTable: Experiment<Lab, Found> = {
  id: 'main-table',
  title: 'Win rate, reward-model score and KL',
  includes: ({ recipe }) => recipe.text !== null,
  run,
  findings,
};
