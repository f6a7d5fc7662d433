// Names of clouds and arms beside their chart, at the height where each ends.
import { type BandPoint, type PlaneChart, type Series, seriesOf } from './chart.js';
import type { Layer } from './frame.js';
import { type Range, positionOf, spread, wrap } from './layout.js';
import type { Look } from './style.js';

const lineHeight = 15;

/** To lines of 22 characters or less. */
export const wrapLabel = (label: string): string[] => wrap(label, 22);

/** The envelope goes on at its last height to the largest x that its cloud reached. */
const staircase = ({ points, envelope = [] }: Series): readonly BandPoint[] => {
  const last = envelope.at(-1);
  if (!last) return [];
  const end = points.reduce((most, { x }) => Math.max(most, x), last.x);
  return [...envelope, { x: end, y: last.y }];
};

export const curveOf = (chart: PlaneChart, series: Series): readonly BandPoint[] =>
  chart.kind === 'scatter'
    ? staircase(series)
    : [...series.points].sort((first, second) => first.x - second.x);

interface Place {
  readonly width: number;
  readonly height: number;
  readonly ranges: { readonly x: Range; readonly y: Range };
}

interface Label {
  readonly lines: readonly string[];
  /** Where it would like to stand, in pixels. */
  readonly at: number;
  /** The place of the curve's end, in pixels. */
  readonly end?: readonly [x: number, y: number];
  readonly look?: Look;
}

export const textsOf = ({ label, points }: Series): string[] =>
  wrapLabel(points.length === 0 ? `${label} (no data)` : label);

const labelsOf = (
  chart: PlaneChart,
  looks: readonly Look[],
  { width, height, ranges }: Place,
): Label[] => {
  const xAt = positionOf(chart.x.scale, ranges.x, 0, width);
  const yAt = positionOf(chart.y.scale, ranges.y, height, 0);
  const ofSeries = seriesOf(chart).map((series, i): Label => {
    const end = curveOf(chart, series).at(-1);
    const ys = series.points.map(({ y }) => yAt(y)).sort((a, b) => a - b);
    const own = { lines: textsOf(series), look: looks[i]! };
    if (!end) return { ...own, at: ys[Math.floor(ys.length / 2)] ?? height };
    return { ...own, at: yAt(end.y), end: [xAt(end.x), yAt(end.y)] };
  });
  const ofLines = (chart.references ?? []).map(({ y, label }): Label => ({
    lines: wrapLabel(label),
    at: yAt(y),
    end: [width, yAt(y)],
  }));
  return [...ofSeries, ...ofLines];
};

const labelLayer = ({ lines, end, look }: Label, place: number, width: number): Layer[] => {
  const color = look?.colour ?? 'currentColor';
  const y = { value: place };
  const data = { values: [{}] };
  const leader: Layer = {
    data,
    mark: { type: 'rule', color, opacity: 0.45, strokeWidth: 1, aria: false },
    encoding: {
      x: { value: end?.[0] ?? 0 },
      x2: { value: width + 7 },
      y: { value: end?.[1] ?? 0 },
      y2: y,
    },
  };
  const text: Layer = {
    data,
    mark: {
      type: 'text',
      text: [...lines],
      align: 'left',
      baseline: 'middle',
      lineHeight,
      dy: (-(lines.length - 1) * lineHeight) / 2,
      color,
      ...(look ? { fontWeight: 600 } : { opacity: 0.8 }),
      aria: false,
    },
    encoding: { x: { value: width + (look ? 21 : 10) }, y },
  };
  const symbol = (shape: string): Layer => ({
    data,
    mark: { type: 'point', shape, color, filled: true, size: 40, opacity: 1, aria: false },
    encoding: { x: { value: width + 12 }, y },
  });
  return [...(end ? [leader] : []), ...(look ? [symbol(look.symbol)] : []), text];
};

/** Names beside the plot at the height where curves end, with a thin line from there. */
export const labelLayers = (chart: PlaneChart, looks: readonly Look[], place: Place): Layer[] => {
  const labels = labelsOf(chart, looks, place);
  const sizes = labels.map(({ at, lines }) => ({ at, size: lines.length * lineHeight + 3 }));
  const places = spread(sizes, place.height);
  return labels.flatMap((label, i) => labelLayer(label, places[i]!, place.width));
};
