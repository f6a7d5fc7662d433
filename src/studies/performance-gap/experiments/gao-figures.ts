// Figures of over-optimisation: proxy and golden scores against sqrt(KL) with their fits, and the
// fits' coefficients by the size of the proxy.
import {
  type OveroptimizationFit,
  type ScoredDistance,
  scoreAt,
} from '../../../evaluation/overoptimization.js';
import type { Cloud, LineChart, Point, ScatterChart } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import { bandPoint } from './data-helpers.js';
import type { Curves, FittedCurve, ProxyCurves, Quantity } from './gao.js';
import { thousands } from './policy-size.js';

const distanceAxis = { title: 'd = √KL' } as const;

/** The fit as a curve so dense that its steps are not seen. */
const drawn = (fit: OveroptimizationFit, points: readonly ScoredDistance[]): Point[] => {
  const farthest = Math.max(...points.map(({ distance }) => distance));
  return Array.from({ length: 161 }, (_, i) => {
    const x = (farthest * i) / 160;
    return { x, y: scoreAt(fit.law, fit, x) };
  });
};

const cloudOf = (label: string, { points, fit }: FittedCurve): Cloud => ({
  label,
  points: points.map(({ distance, score }) => ({ x: distance, y: score })),
  ...(fit ? { envelope: drawn(fit, points) } : {}),
});

interface Panels {
  readonly name: string;
  readonly of: 'online' | 'bestOfN';
  readonly proxy: Quantity;
  readonly golden: Quantity;
  readonly y: string;
}

const panel = (
  level: ProxyCurves,
  { of, proxy, golden, y }: Panels,
): ScatterChart & { readonly title: string } => {
  const curves: Curves = level[of];
  return {
    kind: 'scatter',
    name: `proxy-${level.parameters}`,
    title: `proxy of ${thousands(level.parameters)}`,
    x: distanceAxis,
    y: { title: y, include: [0] },
    clouds: [
      cloudOf('as the proxy sees it', curves[proxy]),
      cloudOf('as the golden model sees it', curves[golden]),
    ],
  };
};

type FigureText = Omit<ReportFigure, 'name' | 'svg' | 'alt'>;

const panelFigure = async (
  levels: readonly ProxyCurves[],
  panels: Panels,
  text: FigureText,
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'multiples',
    name: panels.name,
    width: levels.length > 1 ? 760 : 480,
    ...(levels.length > 3 ? {} : { height: 300 }),
    columns: Math.min(3, levels.length),
    panels: levels.map((level) => panel(level, panels)),
  })),
  ...text,
});

const fitted = 'Lines are least-squares fits';
const scoreTitle = 'score gained';

const onlineFigures = (levels: readonly ProxyCurves[]): Promise<ReportFigure>[] => [
  panelFigure(
    levels,
    {
      name: 'gao-online-score',
      of: 'online',
      proxy: 'proxyScore',
      golden: 'goldenScore',
      y: scoreTitle,
    },
    {
      title: 'Beyond the paper: the proxy and the truth, online arms',
      caption:
        'Checkpoints of online IPO against proxies of several sizes. A score is the mean log-odds ' +
        "of being preferred to the golden policy's response, a reward up to a constant under " +
        "Bradley-Terry; counted from the SFT policy's, in the judge's own deviation among samples " +
        'of the SFT policy to one prompt. KL is that from the SFT policy, in nats. ' +
        `${fitted} of R(d) = d (α − β log d).`,
      claim:
        'Gao et al. 2023: the proxy goes on rising while the golden score turns; later and higher ' +
        'the larger the proxy.',
      signatures: ['B1a', 'B1b'],
    },
  ),
  panelFigure(
    levels,
    {
      name: 'gao-online-win-rate',
      of: 'online',
      proxy: 'proxyWin',
      golden: 'goldenWin',
      y: 'win rate gained',
    },
    {
      title: 'The same in win rates',
      caption: `By hard preferences, against the golden policy; they end at 1. ${fitted} of R(d) = d (α − β log d).`,
    },
  ),
];

const bestOfNFigure = (levels: readonly ProxyCurves[]): Promise<ReportFigure> =>
  panelFigure(
    levels,
    {
      name: 'gao-best-of-n',
      of: 'bestOfN',
      proxy: 'proxyScore',
      golden: 'goldenScore',
      y: scoreTitle,
    },
    {
      title: 'Best-of-n of the SFT policy',
      caption:
        'The sample with the highest mean preference score over a fixed set of other responses of ' +
        'the SFT policy, by the proxy; expected over all subsets of n. KL is the bound ' +
        `log n − (n − 1) / n. ${fitted} of R(d) = d (α − β d).`,
      claim: 'Gao et al. 2023: best-of-n gains more for its KL than reinforcement learning.',
    },
  );

const coefficients = ['alpha', 'beta'] as const;

/** By size of the proxy, of the golden score; sizes without a fit are left out. */
const coefficientFigure = async (levels: readonly ProxyCurves[]): Promise<ReportFigure> => {
  const arm = (name: (typeof coefficients)[number], label: string, of: 'online' | 'bestOfN') => ({
    label,
    points: levels.flatMap(({ parameters, ...level }) => {
      const { fit } = level[of].goldenScore;
      if (!fit) return [];
      const interval = name === 'alpha' ? fit.alphaInterval : fit.betaInterval;
      return [bandPoint(parameters, { value: fit[name], interval })];
    }),
  });
  return {
    ...(await renderChart({
      kind: 'multiples',
      name: 'gao-coefficients',
      width: 760,
      columns: 2,
      ownAxes: true,
      panels: coefficients.map((name): LineChart & { readonly title: string } => ({
        kind: 'lines',
        name,
        title: name === 'alpha' ? 'α, the first gain' : 'β, the bend',
        x: { title: 'parameters of the proxy', scale: 'log' },
        y: { title: name === 'alpha' ? 'α' : 'β', include: [0] },
        arms: [arm(name, 'online arms', 'online'), arm(name, 'best-of-n', 'bestOfN')],
      })),
    })),
    title: 'Coefficients of the golden score by the size of the proxy',
    caption:
      'The two panels have axes of their own, and the two laws have units of their own: compare ' +
      'along a line. Bands are 95 % bootstrap intervals, over checkpoints for online arms and over ' +
      'prompts for best-of-n.',
    claim: 'Gao et al. 2023: α and β change about with the logarithm of the size.',
  };
};

export const gaoFigures = (levels: readonly ProxyCurves[]): Promise<ReportFigure[]> =>
  Promise.all([
    ...onlineFigures(levels),
    bestOfNFigure(levels),
    ...(levels.length > 1 ? [coefficientFigure(levels)] : []),
  ]);
