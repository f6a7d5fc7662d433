// Figure 13 (appendix G): the online stream, shuffled within windows of growing width.
import { frontierCloud } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import { type Signature, below, measuredSignature, notTested } from '../../signature.js';
import type { ArmRun, ArmSource } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import { ofPeaks } from '../peaks.js';
import type { Recipe } from '../recipe.js';
import { type Cloud, decimals, klAxis, winRateAxis } from './baseline-arms.js';
import { commonBudget, peakOf, stairs, withInterval, withinBudget } from './data-helpers.js';

/** Win rates may rise by so much from a window to a wider one, and windows this close are alike. */
const tolerance = 0.02;

/** Of a window in batches: 1 is the recorded order, Infinity is the uniform shuffle. */
export interface WindowLevel {
  readonly window: number;
  readonly cloud: Cloud;
}

/** The recorded order, the recipe's windows, the uniform shuffle. */
export const windowsOf = ({ windows, arm }: Pick<Recipe, 'windows' | 'arm'>): number[] => {
  const own = windows.filter((window) => window > 1 && window < arm.steps);
  return [1, ...[...new Set(own)].sort((a, b) => a - b), Infinity];
};

/** In its recorded order the stream gives the online policy bit for bit (S1.3). */
const sourceOf = (window: number): ArmSource => {
  if (window === 1) return { kind: 'online' };
  return { kind: 'replay', order: window === Infinity ? 'shuffled' : { window } };
};

const labelOf = (window: number): string => {
  if (window === 1) return 'in order (the online run)';
  return window === Infinity ? 'shuffled uniformly' : `windows of ${window} batches`;
};

const claims = (ids: readonly [string, string], narrowest: number, of: string) => ({
  falling: {
    id: ids[0],
    claim:
      'the wider the window of shuffling, the lower the win rate within a budget of KL; no rise ' +
      `of more than ${tolerance}${of}`,
    paper: 'figure 13',
  },
  alike: {
    id: ids[1],
    claim: `shuffling within ${narrowest} batches changes it by at most ${tolerance}${of}`,
    paper: 'figure 13',
  },
});

/**
 * S1.5 at the largest budget that all runs reach. Its first part compares each window with the next
 * wider one, and is decided by the pair of windows that rises most, with the interval of that pair.
 * @param levels by rising window, the recorded order first
 */
export const windowSignatures = (
  levels: readonly WindowLevel[],
  { ids = ['S1.5a', 'S1.5b'], of = '' }: { ids?: readonly [string, string]; of?: string } = {},
): Signature[] => {
  const { falling, alike } = claims(ids, levels[1]?.window ?? 4, of);
  const none = (why: string): Signature[] =>
    [falling, alike].map(({ id, claim, paper }) => notTested(id, claim, paper, why));
  if (levels.length < 3) return none('not part of this recipe');
  const budget = commonBudget(levels.map((level) => level.cloud));
  if (!(budget > 0)) return none('a run never left its start');
  const within = levels.map((level) => withinBudget(level.cloud, budget));
  const rises = within.slice(1).map((wider, i) => ({
    ...ofPeaks([wider, within[i]!], ([a, b]) => a! - b!),
    between: `${labelOf(levels[i]!.window)} to ${labelOf(levels[i + 1]!.window)}`,
  }));
  const most = rises.reduce((a, b) => (b.value > a.value ? b : a));
  const values = within.map(
    (own, i) => `${labelOf(levels[i]!.window)} ${decimals(peakOf(own).value)}`,
  );
  const whole = ofPeaks([within[0]!, within.at(-1)!], ([a, b]) => a! - b!);
  const change = ofPeaks([within[1]!, within[0]!], ([a, b]) => a! - b!);
  const [low, high] = change.interval;
  return [
    measuredSignature(
      falling,
      most,
      below(tolerance),
      `within ${decimals(budget)} nats, which all runs reach: ${values.join(', ')}; in order less ` +
        `uniform ${withInterval(whole)}. The value is the largest step: ${most.between}`,
    ),
    measuredSignature(
      alike,
      {
        value: Math.abs(change.value),
        interval: [Math.max(0, low, -high), Math.max(Math.abs(low), Math.abs(high))],
      },
      below(tolerance),
      `size of the change from the recorded order, which is ${withInterval(change)}`,
    ),
  ];
};

interface Regime {
  readonly beta: number;
  /** By window, as windowsOf() orders them. */
  readonly runs: readonly ArmRun[];
}

/** The baseline's beta first; the recipe's weak one, where policies go farther, besides. */
const betasOf = ({ arm, weakBeta }: Recipe): number[] => [
  ...new Set([arm.beta, ...(weakBeta === null ? [] : [weakBeta])]),
];

const run = async (lab: Lab, seed: number): Promise<readonly Regime[]> => {
  const regimes: Regime[] = [];
  for (const beta of betasOf(lab.recipe)) {
    const runs: ArmRun[] = [];
    for (const window of windowsOf(lab.recipe)) {
      const objective = { name: 'ipo', beta } as const;
      const source = sourceOf(window);
      runs.push(await lab.arm({ ...lab.baseline(seed), source, objective }));
    }
    regimes.push({ beta, runs });
  }
  return regimes;
};

const figureOf = async (
  levels: readonly WindowLevel[],
  beta: number,
  weak: boolean,
  signatures: readonly string[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'scatter',
    name: weak ? 'fig-13-windows-weak-beta' : 'fig-13-windows',
    x: klAxis,
    y: winRateAxis,
    clouds: levels.map((level) => frontierCloud(labelOf(level.window), level.cloud)),
  })),
  title: weak
    ? `Windows of shuffling at a smaller beta (${beta})`
    : `How far may the online pairs be moved? (beta ${beta})`,
  caption:
    'Offline training on the pairs of the online run, shuffled among the batches of a window. In ' +
    `their own order they give the online policy itself (S1.3). ${stairs}`,
  ...(weak
    ? {}
    : {
        claim:
          'Small windows change nothing; wide ones cost much. Samples need not come from the very ' +
          'latest policy.',
      }),
  signatures,
});

const findings = async (lab: Lab, found: readonly (readonly Regime[])[]): Promise<Findings> => {
  const windows = windowsOf(lab.recipe);
  const parts = await Promise.all(
    betasOf(lab.recipe).map(async (beta, i) => {
      const levels = await Promise.all(
        windows.map(async (window, j): Promise<WindowLevel> => ({
          window,
          cloud: await cloud(
            lab,
            found.map((regimes) => regimes[i]!.runs[j]!),
          ),
        })),
      );
      const options = i === 0 ? {} : { ids: ['S1.5c', 'S1.5d'] as const, of: ` (beta ${beta})` };
      const signatures = windowSignatures(levels, options);
      const ids = signatures.map(({ id }) => id);
      return { beta, levels, signatures, figure: await figureOf(levels, beta, i > 0, ids) };
    }),
  );
  return {
    signatures: parts.flatMap(({ signatures }) => signatures),
    figures: parts.map(({ figure }) => figure),
    data: {
      regimes: parts.map(({ beta, levels }) => ({
        beta,
        budget: commonBudget(levels.map((level) => level.cloud)),
        windows: levels.map((level) => ({
          window: level.window === Infinity ? 'uniform' : level.window,
          peak: peakOf(level.cloud),
        })),
      })),
    },
  };
};

export const figure13: Experiment<Lab, readonly Regime[]> = {
  id: 'fig-13',
  title: 'Windows of shuffling',
  includes: ({ recipe }) => recipe.windows.length > 0,
  run,
  findings,
};
