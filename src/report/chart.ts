// What a figure shows, as plain data: clouds, arms over an axis, bars. charts.ts draws it. Checked
// here, so that a NaN is refused with the name of its figure and never becomes a gap in a curve.
import { type FrontierPoint, upperEnvelope } from '../evaluation/frontier.js';
import { mean } from '../evaluation/statistics.js';
import { AlignlabError } from '../errors.js';
import { checkName } from './figure.js';

export interface Axis {
  readonly title: string;
  /** 'nats', 'steps' …; written in brackets behind the title. */
  readonly unit?: string;
  /** Default 'linear'. */
  readonly scale?: 'linear' | 'log';
  /** Values that must lie within the axis, whatever the data: [0, 1], or 0.5 for chance. */
  readonly include?: readonly number[];
  /** Of d3-format: '.0%', '~s' … */
  readonly format?: string;
}

export interface ReferenceLine {
  readonly y: number;
  readonly label: string;
}

export interface Point {
  readonly x: number;
  readonly y: number;
  /** Shown when the reader points at it: run, step … */
  readonly note?: string;
}

/** All checkpoints of all runs of a method. */
export interface Cloud {
  readonly label: string;
  /** Which of the colours, dashes and symbols it has; default its place in the list. */
  readonly look?: number;
  readonly points: readonly Point[];
  /** Corners of the upper envelope by rising x; drawn as a staircase. */
  readonly envelope?: readonly Point[];
}

export interface BandPoint extends Point {
  /** Ends of the band at x: an interval, or the smallest and largest seed. Both or none. */
  readonly low?: number;
  readonly high?: number;
  /** Seeds behind the point. Points with fewer than the most of their arm are drawn hollow. */
  readonly seeds?: number;
}

export interface Arm {
  readonly label: string;
  /** Which of the colours, dashes and symbols it has; default its place in the list. */
  readonly look?: number;
  readonly points: readonly BandPoint[];
}

export interface Bar {
  readonly category: string;
  /** Bars of a category stand side by side, one for each arm. */
  readonly arm?: string;
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

interface Frame {
  /** Lower case letters, digits and hyphens: 'fig-1-summarise'. Names the file and the errors. */
  readonly name: string;
  readonly title?: string;
  /** Replaces the description for readers who do not see the figure. */
  readonly alt?: string;
  /** In pixels; default 600. */
  readonly width?: number;
  /** Of the whole figure in pixels. */
  readonly height?: number;
}

interface PlaneFrame extends Frame {
  readonly x: Axis;
  readonly y: Axis;
  readonly references?: readonly ReferenceLine[];
}

export interface ScatterChart extends PlaneFrame {
  readonly kind: 'scatter';
  readonly clouds: readonly Cloud[];
}

export interface LineChart extends PlaneFrame {
  readonly kind: 'lines';
  readonly arms: readonly Arm[];
}

export interface BarChart extends Frame {
  readonly kind: 'bars';
  /** The axis of the values, which always has 0. */
  readonly value: Omit<Axis, 'scale'>;
  readonly bars: readonly Bar[];
}

export type PlaneChart = ScatterChart | LineChart;
export type Chart = PlaneChart | BarChart;

/** Panels of one shape. They share axes and colours, so that they can be compared by eye. */
export interface SmallMultiples extends Frame {
  readonly kind: 'multiples';
  readonly panels: readonly (PlaneChart & { readonly title: string })[];
  /** Default 2. */
  readonly columns?: number;
  /** True: each panel has axes of its own, and the caption has to say so. */
  readonly ownAxes?: boolean;
}

/** What all clouds or arms of a plane chart have in common. */
export interface Series {
  readonly label: string;
  readonly look?: number;
  readonly points: readonly BandPoint[];
  readonly envelope?: readonly Point[];
}

export const seriesOf = (chart: PlaneChart): readonly Series[] =>
  chart.kind === 'scatter' ? chart.clouds : chart.arms;

/** The cloud of a method with the best win rate within each KL budget as its envelope. */
export const frontierCloud = (label: string, points: readonly FrontierPoint[]): Cloud => {
  const toPoint = ({ kl, winRate, run, step }: FrontierPoint): Point => ({
    x: kl,
    y: winRate,
    note: `${run}, step ${step}`,
  });
  if (points.length === 0) return { label, points: [] };
  return { label, points: points.map(toPoint), envelope: upperEnvelope(points).map(toPoint) };
};

/**
 * The mean over seeds at each x with the smallest and largest seed as its band. A seed that has no
 * value at an x (a run that stopped early) is left out there, and the point says how many it has.
 */
export const armOverSeeds = (label: string, runs: readonly (readonly Point[])[]): Arm => {
  const values = new Map<number, number[]>();
  for (const { x, y } of runs.flat()) values.set(x, [...(values.get(x) ?? []), y]);
  const points = [...values]
    .sort(([a], [b]) => a - b)
    .map(([x, ys]) => ({
      x,
      y: mean(ys),
      low: Math.min(...ys),
      high: Math.max(...ys),
      seeds: ys.length,
    }));
  return { label, points };
};

const refuse = (name: string, what: string): never => {
  throw new AlignlabError('OPTION_INVALID', `The figure "${name}" ${what}`);
};

const checkFinite = (name: string, value: number | undefined, place: string): void => {
  if (value === undefined || Number.isFinite(value)) return;
  throw new AlignlabError(
    'NON_FINITE',
    `The figure "${name}" has ${value} as ${place}. Leave out what was not measured, and look ` +
      'into the run that gave this number.',
  );
};

const checkBand = (
  name: string,
  band: { readonly low?: number; readonly high?: number },
  middle: number,
  place: string,
): void => {
  const { low, high } = band;
  checkFinite(name, low, `the low end ${place}`);
  checkFinite(name, high, `the high end ${place}`);
  if (low === undefined && high === undefined) return;
  // A mean and the interval around it may differ by rounding alone.
  const slack = 1e-9 * Math.max(1, Math.abs(middle));
  if (low !== undefined && high !== undefined && low <= middle + slack && high >= middle - slack) {
    return;
  }
  refuse(
    name,
    `has the band from ${String(low)} to ${String(high)} ${place} around ${middle}. Give both ` +
      'ends, with the value between them.',
  );
};

const checkSize = ({ name, width = 600, height = 360 }: Frame): void => {
  if (width >= 240 && height >= 120 && width <= 4000 && height <= 4000) return;
  refuse(name, `is ${width} by ${height} pixels. Make it from 240 by 120 to 4000 by 4000.`);
};

const checkLabels = (name: string, labels: readonly string[], what: string): void => {
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  if (twice !== undefined) refuse(name, `has two ${what} called "${twice}". Give each its name.`);
};

const checkLog = (name: string, axis: Axis, value: number, place: string): void => {
  if (axis.scale !== 'log' || value > 0) return;
  refuse(
    name,
    `has ${value} as ${place} on a logarithmic axis. Leave out values that are not above 0 (the ` +
      'start policy has a KL of 0), or use a linear axis.',
  );
};

const checkPlane = (chart: PlaneChart): void => {
  const { name, x, y, references = [] } = chart;
  checkLabels(
    name,
    seriesOf(chart).map(({ label }) => label),
    'arms',
  );
  for (const { label, look = 0, points, envelope = [] } of seriesOf(chart)) {
    if (!Number.isSafeInteger(look) || look < 0) {
      refuse(name, `gives "${label}" the look ${look}. Count from 0.`);
    }
    [...points, ...envelope].forEach((point: BandPoint, i) => {
      const place = `of point ${i + 1} of "${label}"`;
      checkFinite(name, point.x, `x ${place}`);
      checkFinite(name, point.y, `y ${place}`);
      checkBand(name, point, point.y, place);
      checkLog(name, x, point.x, `x ${place}`);
      checkLog(name, y, point.low ?? point.y, `y ${place}`);
    });
  }
  for (const reference of references) {
    checkFinite(name, reference.y, `y of the line "${reference.label}"`);
    checkLog(name, y, reference.y, `y of the line "${reference.label}"`);
  }
  for (const [axis, word] of [
    [x, 'x'],
    [y, 'y'],
  ] as const) {
    for (const value of axis.include ?? []) {
      checkFinite(name, value, `a value that the ${word} axis must include`);
      checkLog(name, axis, value, `a value that the ${word} axis must include`);
    }
  }
};

const checkBars = ({ name, bars, value }: BarChart): void => {
  for (const bar of bars) {
    const place = `of the bar "${[bar.category, bar.arm].filter(Boolean).join(', ')}"`;
    checkFinite(name, bar.value, `the value ${place}`);
    checkBand(name, bar, bar.value, place);
  }
  for (const each of value.include ?? [])
    checkFinite(name, each, 'a value that its axis must include');
  const ids = bars.map(({ category, arm }) => JSON.stringify([category, arm]));
  const twice = bars[ids.findIndex((id, i) => ids.indexOf(id) !== i)];
  if (twice) refuse(name, `has the bar "${twice.category}" of one arm twice. Give it once.`);
};

export const checkChart = (chart: Chart | SmallMultiples): void => {
  checkName(chart.name);
  checkSize(chart);
  if (chart.kind === 'bars') checkBars(chart);
  else if (chart.kind !== 'multiples') checkPlane(chart);
  else {
    const { name, panels, columns = 2 } = chart;
    if (!Number.isSafeInteger(columns) || columns < 1 || columns > 4) {
      refuse(name, `has ${columns} columns. Use 1 to 4.`);
    }
    for (const panel of panels) checkPlane({ ...panel, name: `${name}, ${panel.title}` });
  }
};
