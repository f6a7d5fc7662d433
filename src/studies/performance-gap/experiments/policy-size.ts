// Figures 10, 11 and 14 (section 5.5): does the gap between online and offline close as the policy
// grows? The proxy stays the same at every size.
import { AlignlabError } from '../../../errors.js';
import { frontierCloud } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import { type Signature, above, below, measuredSignature, notTested } from '../../signature.js';
import type { ArmRun, ArmSource } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import { parametersOf } from '../materials.js';
import { type Measured, ofPeaks } from '../peaks.js';
import type { Recipe } from '../recipe.js';
import { type Cloud, decimals, peakText, winRateAxis } from './baseline-arms.js';
import { bandPoint, intervals, ofQuantiles, peakNumbers, stairs } from './data-helpers.js';

const methods = {
  online: { kind: 'online' },
  shuffled: { kind: 'replay', order: 'shuffled' },
  offline: { kind: 'offline' },
} as const satisfies Record<string, ArmSource>;

type Method = keyof typeof methods;

const names = Object.keys(methods) as Method[];
const labels: Readonly<Record<Method, string>> = {
  online: 'online',
  shuffled: 'shuffled online',
  offline: 'offline',
};

/** The clouds of one size of policy. */
export interface SizeClouds extends Readonly<Record<Method, Cloud>> {
  readonly parameters: number;
}

/** About so many parameters each: the recipe's own policy among them, by rising size. */
export const sizesOf = ({ sft, policySizes }: Pick<Recipe, 'sft' | 'policySizes'>): number[] =>
  [...new Set([sft.parameters, ...policySizes])].sort((a, b) => a - b);

const claims = {
  gap: {
    id: 'S1.13a',
    claim: 'at every size of the policy the offline peak is below the online one',
    paper: 'figure 11',
  },
  shuffled: {
    id: 'S1.13b',
    claim: 'at the largest size shuffled online data are worth at least as much as offline data',
    paper: 'figure 11',
  },
};

/**
 * Over a win rate of the cloud. In resamples of few prompts it may be 0, which counts as half a win;
 * two equal rates have the ratio 1.
 */
const ratioIn = (cloud: Cloud) => {
  const least = 0.5 / Math.max(1, cloud[0]?.outcomes?.length ?? 0);
  return (rate: number, online: number): number =>
    rate === online ? 1 : rate / Math.max(online, least);
};

/** S1.13, on peaks. @param sizes by rising size */
export const sizeSignatures = (sizes: readonly SizeClouds[]): Signature[] => {
  if (sizes.length < 2) {
    return Object.values(claims).map(({ id, claim, paper }) =>
      notTested(id, claim, paper, 'not part of this recipe'),
    );
  }
  const ratios = sizes.map(({ parameters, online, offline }) => ({
    parameters,
    ...ofPeaks([offline, online], ([a, b]) => ratioIn(online)(a!, b!)),
  }));
  const most = ratios.reduce((a, b) => (b.value > a.value ? b : a));
  const list = ratios.map(({ parameters, value }) => `${parameters}: ${decimals(value)}`);
  const largest = sizes.at(-1)!;
  const ratio = ratioIn(largest.online);
  return [
    measuredSignature(
      claims.gap,
      most,
      below(1),
      `offline peak over online peak by parameters: ${list.join(', ')}; the value is the largest`,
    ),
    measuredSignature(
      claims.shuffled,
      ofPeaks(
        [largest.shuffled, largest.offline, largest.online],
        ([a, b, c]) => ratio(a!, c!) - ratio(b!, c!),
      ),
      above(0),
      `peaks at ${largest.parameters} parameters: ` +
        `${names.map((name) => `${labels[name]} ${peakText(largest[name])}`).join(', ')}; the ` +
        'value is shuffled less offline, over online',
    ),
  ];
};

/** A method's performance at a size: the paper's 90 % quantile over its checkpoints. */
const share = 0.9;

const checkpointsOf = (points: Cloud): Cloud => points.filter(({ step }) => step > 0);

export interface SizeSummary {
  readonly parameters: number;
  readonly absolute: Readonly<Record<Method, Measured>>;
  /** To online of the same size. */
  readonly relative: Readonly<Record<Method, Measured>>;
}

export const summariesOf = (sizes: readonly SizeClouds[]): SizeSummary[] =>
  sizes.map((size) => {
    const checkpoints = { ...size };
    for (const name of names) checkpoints[name] = checkpointsOf(size[name]);
    const each = (of: (name: Method) => Measured): Record<Method, Measured> => ({
      online: of('online'),
      shuffled: of('shuffled'),
      offline: of('offline'),
    });
    const { online } = checkpoints;
    return {
      parameters: size.parameters,
      absolute: each((name) => ofQuantiles([checkpoints[name]], share, ([value]) => value!)),
      relative: each((name) =>
        ofQuantiles([checkpoints[name], online], share, ([a, b]) => ratioIn(online)(a!, b!)),
      ),
    };
  });

export const thousands = (parameters: number): string =>
  parameters < 1e6 ? `${Math.round(parameters / 1000)}k` : `${(parameters / 1e6).toFixed(1)}M`;

const cloudsFigure = async (sizes: readonly SizeClouds[]): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'multiples',
    name: 'fig-10-policy-size',
    width: 760,
    height: 320 * Math.ceil(sizes.length / 3),
    columns: Math.min(3, sizes.length),
    panels: sizes.map((size) => ({
      kind: 'scatter' as const,
      name: `policy-${size.parameters}`,
      title: `${thousands(size.parameters)} parameters`,
      x: { title: 'KL', unit: 'nats' },
      y: { title: 'win rate' },
      clouds: names.map((name) => frontierCloud(labels[name], size[name])),
    })),
  })),
  title: 'Does a larger policy close the gap?',
  caption:
    `Win rate against the golden policy. ${stairs} The proxy, the golden model and the opponent are the same in all panels; KL counts ` +
    'from the SFT policy of the own size, so that it is not quite one axis.',
  claim: 'Peaks rise with size, all arms over-optimise, and the gap between them stays.',
  signatures: ['S1.13a', 'S1.13b'],
});

const summaryFigure = async (
  summaries: readonly SizeSummary[],
  of: 'absolute' | 'relative',
): Promise<ReportFigure> => {
  const smallest = summaries[0]!.parameters;
  const relative = of === 'relative';
  return {
    ...(await renderChart({
      kind: 'lines',
      name: relative ? 'fig-11-relative-to-online' : 'fig-14-by-size',
      x: { title: 'parameters, log2 relative to the smallest' },
      y: { title: relative ? 'win rate over that of online' : winRateAxis.title },
      arms: names.map((name) => ({
        label: labels[name],
        points: summaries.map((summary) =>
          bandPoint(
            Math.log2(summary.parameters / smallest),
            summary[of][name],
            `${thousands(summary.parameters)} parameters`,
          ),
        ),
      })),
    })),
    title: relative ? 'The same, relative to online of the same size' : 'Win rate by size',
    caption:
      "The 90 % quantile of a method's win rates over its checkpoints, seeds pooled, at the " +
      `baseline's settings. ${intervals}`,
    claim: relative
      ? 'With size the shuffled arm comes closer to online on two of three tasks, offline more slowly.'
      : 'Every method gains with size; online stays ahead.',
    signatures: ['S1.13a', 'S1.13b'],
  };
};

/** Throws OPTION_INVALID where two sizes come out as the same model. */
const checkSizes = ({ recipe, materials }: Lab): void => {
  const sizes = sizesOf(recipe);
  const real = sizes.map((about) => parametersOf(materials, about));
  const again = real.findIndex((size, i) => real.indexOf(size) !== i);
  if (again < 0) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `Policies of about ${sizes[again - 1]} and ${sizes[again]} parameters are the same model, of ` +
      `${real[again]}: sizes come in steps. Put the sizes of policySizes farther apart.`,
  );
};

interface SizeRuns extends Readonly<Record<Method, ArmRun>> {
  readonly about: number;
}

const run = async (lab: Lab, seed: number): Promise<readonly SizeRuns[]> => {
  checkSizes(lab);
  const sizes: SizeRuns[] = [];
  for (const about of sizesOf(lab.recipe)) {
    const size = about === lab.recipe.sft.parameters ? {} : { policy: about };
    const arm = (name: Method): Promise<ArmRun> =>
      lab.arm({ ...lab.baseline(seed), source: methods[name], ...size });
    const [online, shuffled, offline] = [
      await arm('online'),
      await arm('shuffled'),
      await arm('offline'),
    ];
    sizes.push({ about, online, shuffled, offline });
  }
  return sizes;
};

const findings = async (lab: Lab, found: readonly (readonly SizeRuns[])[]): Promise<Findings> => {
  const sizes: SizeClouds[] = [];
  for (const [i, about] of sizesOf(lab.recipe).entries()) {
    const of = (name: Method): Promise<Cloud> =>
      cloud(
        lab,
        found.map((seed) => seed[i]![name]),
      );
    sizes.push({
      parameters: parametersOf(lab.materials, about),
      online: await of('online'),
      shuffled: await of('shuffled'),
      offline: await of('offline'),
    });
  }
  const summaries = summariesOf(sizes);
  return {
    signatures: sizeSignatures(sizes),
    figures: [
      await cloudsFigure(sizes),
      await summaryFigure(summaries, 'relative'),
      await summaryFigure(summaries, 'absolute'),
    ],
    data: {
      quantile: share,
      sizes: summaries.map((summary, i) => ({
        ...summary,
        peaks: Object.fromEntries(names.map((name) => [name, peakNumbers(sizes[i]![name])])),
      })),
    },
  };
};

export const policySize: Experiment<Lab, readonly SizeRuns[]> = {
  id: 'policy-size',
  title: 'Scaling the policy',
  includes: ({ recipe }) => recipe.policySizes.length > 0,
  run,
  findings,
};
