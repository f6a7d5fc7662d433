// The specification of a chart with two numeric axes: clouds or arms, labelled where they end.
import type { TopLevelSpec } from 'vega-lite';
import { type Axis, type BandPoint, type PlaneChart, type Series, seriesOf } from './chart.js';
import { axisTitle } from './describe.js';
import { type Range, positionOf, rangeOf, spread, widthOf, wrap } from './layout.js';
import { formatInterval, formatNumber } from './numbers.js';
import { type Look, config, lookOf } from './style.js';

export interface SizedSpec {
  readonly spec: TopLevelSpec;
  readonly width: number;
  readonly height: number;
}

export interface PlaneOptions {
  /** Of both axes, where panels share them. */
  readonly ranges?: { readonly x: Range; readonly y: Range };
  /** False: the key stands elsewhere. */
  readonly labels?: boolean;
  /** Looks by label, so that panels agree. */
  readonly looks?: ReadonlyMap<string, Look>;
}

type Layer = Extract<TopLevelSpec, { layer: unknown }>['layer'][number];

const lineHeight = 15;
const labelWidth = 22; // characters

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

const encoded = (axis: Axis, field: string, range: Range) => ({
  field,
  type: 'quantitative' as const,
  scale: { type: axis.scale ?? 'linear', domain: [...range], nice: false, zero: false },
  axis: {
    title: axisTitle(axis),
    tickCount: 5,
    ...(axis.format === undefined ? {} : { format: axis.format }),
  },
});

const noteOf = (label: string, most: number, point: BandPoint, chart: PlaneChart): string => {
  const { x, y, low, high, seeds, note } = point;
  const ends = low === undefined || high === undefined ? '' : ` (${formatInterval([low, high])})`;
  const count = seeds === undefined ? '' : `\n${seeds} of ${most} seeds`;
  const place = `${axisTitle(chart.x)}: ${formatNumber(x)}`;
  const value = `${axisTitle(chart.y)}: ${formatNumber(y)}${ends}`;
  return `${label}\n${place}\n${value}${count}${note === undefined ? '' : `\n${note}`}`;
};

const referenceLayers = (chart: PlaneChart, width: number): Layer[] =>
  (chart.references ?? []).flatMap(({ y, label }): Layer[] => [
    {
      data: { values: [{ y }] },
      mark: { type: 'rule', color: 'currentColor', opacity: 0.55, strokeDash: [1, 3], aria: false },
      encoding: { x: { value: 0 }, x2: { value: width } },
    },
    {
      data: { values: [{ y, label }] },
      mark: { type: 'text', align: 'left', dx: 4, dy: -7, fontSize: 11, opacity: 0.75, aria: false },
      encoding: { x: { value: 0 }, text: { field: 'label' } },
    },
  ]);

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

/** The envelope goes on at its last height to the largest x that its cloud reached. */
const staircase = ({ points, envelope = [] }: Series): readonly BandPoint[] => {
  const last = envelope.at(-1);
  if (!last) return [];
  const end = points.reduce((most, { x }) => Math.max(most, x), last.x);
  return [...envelope, { x: end, y: last.y }];
};

const curveOf = (chart: PlaneChart, series: Series): readonly BandPoint[] =>
  chart.kind === 'scatter'
    ? staircase(series)
    : [...series.points].sort((first, second) => first.x - second.x);

const seriesLayers = (chart: PlaneChart, series: Series, look: Look): Layer[] => {
  const curve = curveOf(chart, series);
  const line = curve.length > 1 ? [lineLayer(curve, look, chart.kind === 'scatter')] : [];
  const points = pointLayers(chart, series, look);
  // Clouds lie below their envelope, the points of an arm on its line.
  const bands = bandLayers(chart.kind === 'scatter' ? { label: '', points: [] } : series, look);
  return chart.kind === 'scatter' ? [...points, ...line] : [...bands, ...line, ...points];
};

interface Place {
  readonly width: number;
  readonly height: number;
  readonly ranges: { readonly x: Range; readonly y: Range };
}

const textsOf = ({ label, points }: Series): string[] =>
  wrap(points.length === 0 ? `${label} (no data)` : label, labelWidth);

/** Names beside the plot at the height where curves end, with a thin line from there. */
const labelLayers = (
  chart: PlaneChart,
  looks: readonly Look[],
  { width, height, ranges }: Place,
): Layer[] => {
  const xAt = positionOf(chart.x.scale, ranges.x, 0, width);
  const yAt = positionOf(chart.y.scale, ranges.y, height, 0);
  const labels = seriesOf(chart).map((series) => {
    const end = curveOf(chart, series).at(-1);
    const ys = series.points.map(({ y }) => yAt(y)).sort((a, b) => a - b);
    const at = end ? yAt(end.y) : (ys[Math.floor(ys.length / 2)] ?? height);
    const lines = textsOf(series);
    return { end, at, lines, size: lines.length * lineHeight + 3 };
  });
  const places = spread(labels, height);
  return labels.flatMap(({ end, lines }, i): Layer[] => {
    const { colour, symbol } = looks[i]!;
    const y = { value: places[i]! };
    const leader: Layer = {
      data: { values: [{}] },
      mark: { type: 'rule', color: colour, opacity: 0.45, strokeWidth: 1, aria: false },
      encoding: {
        x: { value: end ? xAt(end.x) : 0 },
        x2: { value: width + 7 },
        y: { value: end ? yAt(end.y) : 0 },
        y2: y,
      },
    };
    return [
      ...(end ? [leader] : []),
      {
        data: { values: [{}] },
        mark: { type: 'point', shape: symbol, color: colour, filled: true, size: 40, opacity: 1, aria: false },
        encoding: { x: { value: width + 12 }, y },
      },
      {
        data: { values: [{}] },
        mark: {
          type: 'text',
          text: lines,
          align: 'left',
          baseline: 'middle',
          lineHeight,
          dy: (-(lines.length - 1) * lineHeight) / 2,
          color: colour,
          fontWeight: 600,
          aria: false,
        },
        encoding: { x: { value: width + 21 }, y },
      },
    ];
  });
};

const emptyLayer = (width: number, height: number): Layer => ({
  data: { values: [{}] },
  mark: { type: 'text', text: 'No data yet', fontSize: 14, opacity: 0.7, aria: false },
  encoding: { x: { value: width / 2 }, y: { value: height / 2 } },
});

export const titleLines = (title: string | undefined, width: number): string[] =>
  title === undefined ? [] : wrap(title, Math.floor(width / 7.8));

export const planeSpec = (
  chart: PlaneChart,
  { ranges = rangesOf([chart]), labels = true, looks = new Map() }: PlaneOptions = {},
): SizedSpec => {
  const { width: outer = 600, height: tall = 360 } = chart;
  const series = seriesOf(chart);
  const own = series.map(({ label }, i) => looks.get(label) ?? lookOf(i));
  const widest = series.flatMap(textsOf).reduce((most, text) => Math.max(most, widthOf(text)), 0);
  const title = titleLines(chart.title, outer);
  const padding = {
    left: 66,
    right: labels && series.length > 0 ? widest + 30 : 14,
    top: 12 + title.length * 19,
    bottom: 50,
  };
  const width = outer - padding.left - padding.right;
  const height = tall - padding.top - padding.bottom;
  const empty = series.every(({ points }) => points.length === 0);
  const frame: Layer = {
    data: { values: [{ x: ranges.x[0], y: ranges.y[0] }] },
    mark: { type: 'point', opacity: 0, aria: false },
  };
  const spec: TopLevelSpec = {
    width,
    height,
    padding,
    autosize: 'none',
    config: config as unknown as NonNullable<TopLevelSpec['config']>,
    ...(title.length === 0 ? {} : { title: { text: title } }),
    encoding: { x: encoded(chart.x, 'x', ranges.x), y: encoded(chart.y, 'y', ranges.y) },
    layer: [
      frame,
      ...referenceLayers(chart, width),
      ...series.flatMap((each, i) => seriesLayers(chart, each, own[i]!)),
      ...(empty ? [emptyLayer(width, height)] : []),
      ...(labels ? labelLayers(chart, own, { width, height, ranges }) : []),
    ],
  };
  return { spec, width: outer, height: tall };
};
