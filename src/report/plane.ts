// The specification of a chart with two numeric axes: clouds or arms, labelled where they end.
import { type Axis, type BandPoint, type PlaneChart, type Series, seriesOf } from './chart.js';
import { axisTitle } from './describe.js';
import { type Layer, type Plot, framed, plotOf, topOf } from './frame.js';
import { titleHeight } from './drawing.js';
import { type Range, logTicks, positionOf, rangeOf, widthOf, wrap } from './layout.js';
import { formatInterval, formatNumber } from './numbers.js';
import { curveOf, labelLayers, textsOf, wrapLabel } from './plane-labels.js';
import { type Look, lookOf } from './style.js';
import type { SizedSpec } from './svg.js';

export interface PlaneOptions {
  /** Of both axes, where panels share them. */
  readonly ranges?: { readonly x: Range; readonly y: Range };
  /** False: the key stands elsewhere. */
  readonly labels?: boolean;
  /** Looks by label, so that panels agree. */
  readonly looks?: ReadonlyMap<string, Look>;
}

const tickWidth = 50; // room for labels of the y axis

export const rangesOf = (charts: readonly PlaneChart[]): { x: Range; y: Range } => {
  const series = charts.flatMap((chart) => seriesOf(chart));
  const points = series.flatMap(({ points: own, envelope = [] }): BandPoint[] => [
    ...own,
    ...envelope,
  ]);
  const lines = charts.flatMap(({ references = [] }) => references.map(({ y }) => y));
  const axis = (pick: (chart: PlaneChart) => Axis): Pick<Axis, 'scale' | 'include'> => ({
    scale: charts[0] ? (pick(charts[0]).scale ?? 'linear') : 'linear',
    include: charts.flatMap((chart) => pick(chart).include ?? []),
  });
  const ys = points.flatMap(({ y, low = y, high = y }) => [y, low, high]);
  return {
    x: rangeOf(
      axis(({ x }) => x),
      points.map(({ x }) => x),
    ),
    y: rangeOf(
      axis(({ y }) => y),
      [...ys, ...lines],
    ),
  };
};

const titleOf = (axis: Axis, length: number): string[] =>
  wrap(axisTitle(axis), Math.floor(length / 7.2));

const encoded = (axis: Axis, field: string, range: Range, title: string[]) => ({
  field,
  type: 'quantitative' as const,
  scale:
    axis.scale === 'log'
      ? { type: 'log' as const, domain: [...range], nice: false }
      : { domain: [...range], nice: false, zero: false },
  axis: {
    title,
    ...(field === 'y'
      ? { titleX: -tickWidth - title.length * titleHeight, titleBaseline: 'top' as const }
      : {}),
    ...(axis.scale === 'log' ? { values: logTicks(range), format: '~g' } : { tickCount: 5 }),
    ...(axis.format === undefined ? {} : { format: axis.format }),
  },
});

const noteOf = (label: string, most: number, point: BandPoint, chart: PlaneChart): string => {
  const { x, y, low, high, seeds, note } = point;
  const ends = low === undefined || high === undefined ? '' : ` (${formatInterval([low, high])})`;
  const count = seeds === undefined ? '' : `\n${seeds} of ${most} seeds`;
  const [across, up] = [chart.x, chart.y].map(({ unit }) => (unit === undefined ? '' : ` ${unit}`));
  const place = `${formatNumber(y)}${up}${ends} at ${formatNumber(x)}${across}`;
  return `${label}: ${place}${count}${note === undefined ? '' : `\n${note}`}`;
};

/** Below its line, or above where the axis is near. */
const nameOnLine = (y: number, label: string, width: number, above: boolean): Layer => ({
  data: { values: [{ y, label }] },
  mark: {
    type: 'text',
    align: 'right',
    dy: above ? -7 : 9,
    fontSize: 11,
    opacity: 0.8,
    aria: false,
  },
  encoding: { x: { value: width }, text: { field: 'label' } },
});

/** Lines across the plot; their names stand beside it, or on them where there is no room. */
const referenceLayers = (
  chart: PlaneChart,
  { width, height }: Plot,
  range: Range,
  named: boolean,
): Layer[] => {
  const place = positionOf(chart.y.scale, range, height, 0);
  return (chart.references ?? []).flatMap(({ y, label }): Layer[] => [
    {
      data: { values: [{ y }] },
      mark: { type: 'rule', color: 'currentColor', opacity: 0.55, strokeDash: [1, 3], aria: false },
      encoding: { x: { value: 0 }, x2: { value: width } },
    },
    ...(named ? [nameOnLine(y, label, width, place(y) > height - 16)] : []),
  ]);
};

/** Points as they are; hollow where a point has fewer seeds than the most of its arm. */
const pointLayers = (chart: PlaneChart, series: Series, look: Look): Layer[] => {
  const { label, points } = series;
  const most = points.reduce((largest, { seeds = 0 }) => Math.max(largest, seeds), 0);
  const cloud = chart.kind === 'scatter';
  const shown = cloud || points.length <= 12;
  const parts = [true, false].map((whole) => ({
    whole,
    values: points
      .filter(({ seeds = most }) => (seeds === most) === whole)
      .map((point) => ({ x: point.x, y: point.y, note: noteOf(label, most, point, chart) })),
  }));
  return parts
    .filter(({ values, whole }) => values.length > 0 && (shown || !whole || points.length <= 80))
    .map(({ whole, values }): Layer => ({
      data: { values },
      mark: {
        type: 'point',
        shape: look.symbol,
        color: look.colour,
        filled: whole,
        size: cloud ? 26 : 36,
        opacity: cloud ? 0.5 : shown || !whole ? 1 : 0,
        strokeWidth: whole ? 0 : 1.5,
      },
      encoding: { description: { field: 'note' } },
    }));
};

const bandLayers = ({ points }: Series, look: Look): Layer[] => {
  const values = points.flatMap(({ x, low, high }) =>
    low === undefined || high === undefined ? [] : [{ x, low, high }],
  );
  const only = values.length === 1 || points.length === 1;
  if (values.length === 0) return [];
  return [
    {
      data: { values },
      mark: only
        ? { type: 'rule', color: look.colour, strokeWidth: 1.5, aria: false }
        : { type: 'area', color: look.colour, opacity: 0.16, aria: false },
      encoding: { y: { field: 'low', type: 'quantitative' }, y2: { field: 'high' } },
    },
  ];
};

const lineLayer = (values: readonly BandPoint[], look: Look, stepped: boolean): Layer => ({
  data: { values: values.map(({ x, y }) => ({ x, y })) },
  mark: {
    type: 'line',
    color: look.colour,
    strokeWidth: 2.25,
    strokeDash: [...look.dash],
    interpolate: stepped ? 'step-after' : 'linear',
    aria: false,
  },
});

const seriesLayers = (chart: PlaneChart, series: Series, look: Look): Layer[] => {
  const curve = curveOf(chart, series);
  const line = curve.length > 1 ? [lineLayer(curve, look, chart.kind === 'scatter')] : [];
  const points = pointLayers(chart, series, look);
  // Clouds lie below their envelope, the points of an arm on its line.
  const bands = bandLayers(chart.kind === 'scatter' ? { label: '', points: [] } : series, look);
  return chart.kind === 'scatter' ? [...points, ...line] : [...bands, ...line, ...points];
};

export const planeSpec = (
  chart: PlaneChart,
  { ranges = rangesOf([chart]), labels = true, looks = new Map() }: PlaneOptions = {},
): SizedSpec => {
  const { width: outer = 600, height: tall = 360 } = chart;
  const series = seriesOf(chart);
  const own = series.map(({ label, look }, i) => looks.get(label) ?? lookOf(look ?? i));
  const names = (chart.references ?? []).flatMap(({ label }) => wrapLabel(label));
  const widest = [...series.flatMap(textsOf), ...names].reduce(
    (most, text) => Math.max(most, widthOf(text)),
    0,
  );
  const right = labels && widest > 0 ? widest + 30 : 14;
  const xTitle = titleOf(chart.x, outer - right - tickWidth - titleHeight);
  const [top, bottom] = [topOf(chart.title, outer), 32 + titleHeight * xTitle.length];
  const yTitle = titleOf(chart.y, tall - top - bottom);
  const margins = { left: tickWidth + 6 + titleHeight * yTitle.length, right, top, bottom };
  const plot = plotOf(outer, tall, margins);
  const corner: Layer = {
    data: { values: [{ x: ranges.x[0], y: ranges.y[0] }] },
    mark: { type: 'point', opacity: 0, aria: false },
  };
  return framed({
    title: chart.title,
    width: outer,
    height: tall,
    margins,
    encoding: {
      x: encoded(chart.x, 'x', ranges.x, xTitle),
      y: encoded(chart.y, 'y', ranges.y, yTitle),
    },
    layers: [
      corner,
      ...referenceLayers(chart, plot, ranges.y, !labels),
      ...series.flatMap((each, i) => seriesLayers(chart, each, own[i]!)),
      ...(labels ? labelLayers(chart, own, { ...plot, ranges }) : []),
    ],
    empty: series.every(({ points }) => points.length === 0),
  });
};
