// The report of training runs: what they logged, side by side.
import { resolve } from 'node:path';
import { isObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { type BandPoint, type LineChart, type Point, armOverSeeds } from './chart.js';
import { renderChart } from './charts.js';
import { formatNumber } from './numbers.js';
import type { Report, ReportFigure } from './report.js';
import { type LogLine, type RunLog, curve, readRun } from './run-reader.js';

/** Metrics that people look at first; the others follow by name. */
const first: readonly (readonly [metric: string, title: string])[] = [
  ['loss', 'Loss'],
  ['eval_loss', 'Loss on held-out data'],
  ['reward', 'Mean reward'],
  ['objective/scores', 'Mean score'],
  ['rewards/margins', 'Implicit reward, chosen less rejected'],
  ['rewards/accuracies', 'Pairs where the implicit reward prefers the chosen response'],
  ['kl', 'KL from the reference'],
  ['objective/kl', 'KL from the reference'],
  ['grad_norm', 'Norm of the gradient, before clipping'],
];

/** Counters, which say nothing over the steps. */
const leftOut = new Set(['num_tokens', 'epoch']);

const most = 240;

/** Neighbouring points as one, with the smallest and the largest as its band. */
const thinned = (points: readonly Point[]): BandPoint[] => {
  if (points.length <= most) return [...points];
  const size = Math.ceil(points.length / most);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    const [{ y, low, high }] = armOverSeeds(
      '',
      part.map((point) => [{ x: 0, y: point.y }]),
    ).points as [BandPoint];
    return { x: part.at(-1)!.x, y, low: low!, high: high! };
  });
};

const isFinitePoint = ({ y }: Point): boolean => Number.isFinite(y);

const linesOf = (run: RunLog, metric: string): readonly LogLine[] =>
  metric.startsWith('eval_') ? run.evaluations : run.steps;

const metricsOf = (runs: readonly RunLog[]): string[] => {
  const lines = runs.flatMap(({ steps, evaluations }) => [...steps, ...evaluations]);
  const names = new Set(lines.flatMap(({ values }) => Object.keys(values)));
  const known = first.map(([metric]) => metric).filter((metric) => names.has(metric));
  const rest = [...names].filter((name) => !known.includes(name) && !leftOut.has(name)).sort();
  return [...known, ...rest];
};

const figureName = (metric: string): string =>
  metric
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '') || 'metric';

const captionOf = (curves: readonly (readonly Point[])[]): string => {
  const odd = curves.flat().filter((point) => !isFinitePoint(point));
  const long = curves.some(({ length }) => length > most);
  return [
    long ? 'Means of neighbouring steps; the band goes from the lowest to the highest.' : '',
    odd.length > 0
      ? `${odd.length} values that are not finite are left out, the first at step ${odd[0]!.x}.`
      : '',
  ]
    .filter(Boolean)
    .join(' ');
};

const figureOf = async (
  runs: readonly RunLog[],
  metric: string,
  name: string,
): Promise<ReportFigure | null> => {
  const curves = runs.map((run) => curve(linesOf(run, metric), metric));
  const arms = runs
    .map(({ name: label }, i) => ({
      label,
      look: i,
      points: thinned(curves[i]!.filter(isFinitePoint)),
    }))
    .filter((_, i) => curves[i]!.length > 0);
  const values = curves.flat().map(({ y }) => y);
  if (new Set(values).size < 2) return null;
  const small = values.every((value) => !(Math.abs(value) >= 0.01));
  const chart: LineChart = {
    kind: 'lines',
    name,
    x: { title: 'optimiser steps' },
    y: { title: metric, ...(small ? { format: '~e' } : {}) },
    height: 300,
    arms,
  };
  const title = first.find(([known]) => known === metric)?.[1] ?? metric;
  return { ...(await renderChart(chart)), title, caption: captionOf(curves) };
};

const figuresOf = async (runs: readonly RunLog[]): Promise<ReportFigure[]> => {
  const figures: ReportFigure[] = [];
  for (const metric of metricsOf(runs)) {
    const own = figureName(metric);
    const name = figures.some((each) => each.name === own) ? `${own}-${figures.length + 1}` : own;
    const figure = await figureOf(runs, metric, name);
    if (figure) figures.push(figure);
  }
  return figures;
};

/** 'run.objective.options.beta' → 0.1 */
const flat = (value: unknown, path = ''): [string, string | number | boolean][] => {
  if (isObject(value)) {
    return Object.entries(value).flatMap(([key, entry]) =>
      flat(entry, path === '' ? key : `${path}.${key}`),
    );
  }
  const plain = typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return [[path, plain ?? text]];
};

/** Of one run the settings; of several those in which they differ. */
const settingsOf = (runs: readonly RunLog[]): Report['settings'] => {
  const all = runs.map(({ manifest }) => new Map(flat(manifest?.run ?? {})));
  const keys = [...new Set(all.flatMap((map) => [...map.keys()]))];
  if (runs.length === 1) return Object.fromEntries(all[0] ?? []);
  return Object.fromEntries(
    keys
      .map((key) => [key, all.map((map) => map.get(key))] as const)
      .filter(([, values]) => new Set(values).size > 1)
      .map(([key, values]) => [key, values.map((value) => String(value ?? 'none')).join('; ')]),
  );
};

const stateOf = ({ name, steps, evaluations, manifest, cut }: RunLog): string => {
  const last = steps.at(-1);
  const status = typeof manifest?.status === 'string' ? manifest.status : 'without a manifest';
  const loss = last?.values.loss;
  return [
    `${name}: ${status}, ${last?.step ?? 0} steps, ${evaluations.length} evaluations`,
    ...(loss === undefined ? [] : [`last loss ${formatNumber(loss)}`]),
    ...(cut ? ['the last line of its log is cut off'] : []),
  ].join(', ');
};

/** Names of folders, or their paths where names repeat. */
const withNames = (runs: readonly RunLog[], folders: readonly string[]): RunLog[] => {
  const twice = new Set(runs.map(({ name }) => name)).size < runs.length;
  return twice ? runs.map((run, i) => ({ ...run, name: folders[i]! })) : [...runs];
};

/**
 * A figure for each metric that changes, with a curve for each run. Throws as `readRun` does, and
 * OPTION_INVALID for a folder that is named twice.
 */
export const trainingReport = async (folders: readonly string[]): Promise<Report> => {
  const paths = folders.map((folder) => resolve(folder));
  const twice = folders.find((_, i) => paths.indexOf(paths[i]!) !== i);
  if (twice !== undefined) {
    throw new AlignlabError('OPTION_INVALID', `${twice} is named twice. Name each run once.`);
  }
  const read = await Promise.all(folders.map(readRun));
  const runs = withNames(read, folders);
  return {
    title: runs.length === 1 ? `Training run ${runs[0]!.name}` : `${runs.length} training runs`,
    question: 'What do the runs log, step by step and at evaluations?',
    summary: runs.map(stateOf),
    signatures: [],
    figures: await figuresOf(runs),
    settings: settingsOf(runs),
    manifest: Object.fromEntries(runs.map(({ name, manifest }) => [name, manifest])),
    reproduce: [`npx alignlab report ${folders.join(' ')}`],
  };
};
