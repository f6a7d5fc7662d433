// A chart's numbers as a table: what its figure shows, in full precision.
import {
  type BandPoint,
  type BarChart,
  type Chart,
  type PlaneChart,
  type Series,
  type SmallMultiples,
  seriesOf,
} from './chart.js';
import { axisTitle } from './describe.js';
import type { FigureData } from './figure.js';

type Value = string | number | null;
type Row = readonly Value[];

/** Columns that hold nothing are left out, but for the first `kept`. */
const withoutEmpty = (columns: readonly string[], rows: readonly Row[], kept: number) => {
  const used = columns.map((_, i) => i < kept || rows.some((row) => row[i] !== null));
  const pick = <T>(list: readonly T[]): T[] => list.filter((_, i) => used[i]);
  return { columns: pick(columns), rows: rows.map(pick) };
};

const rowsOf = (panel: string | null, { label, points, envelope }: Series): Row[] => {
  const parts: readonly (readonly [string | null, readonly BandPoint[]])[] = [
    [envelope ? 'point' : null, points],
    ['envelope', envelope ?? []],
  ];
  return parts.flatMap(([part, list]) =>
    list.map(({ x, y, low = null, high = null, seeds = null, note = null }) => [
      label,
      x,
      y,
      panel,
      part,
      low,
      high,
      seeds,
      note,
    ]),
  );
};

const ofPlanes = (panels: readonly (PlaneChart & { readonly title?: string })[]): FigureData => {
  const one = (titles: readonly string[], otherwise: string): string =>
    new Set(titles).size === 1 ? titles[0]! : otherwise;
  const x = one(
    panels.map((panel) => axisTitle(panel.x)),
    'x',
  );
  const y = one(
    panels.map((panel) => axisTitle(panel.y)),
    'y',
  );
  const rows = panels.flatMap((panel) =>
    seriesOf(panel).flatMap((series) =>
      rowsOf(panels.length > 1 ? (panel.title ?? null) : null, series),
    ),
  );
  const columns = ['arm', x, y, 'panel', 'part', 'low', 'high', 'seeds', 'note'];
  return withoutEmpty(columns, rows, 3);
};

const ofBars = ({ bars, value }: BarChart): FigureData =>
  withoutEmpty(
    ['category', axisTitle(value), 'arm', 'low', 'high'],
    bars.map(({ category, value: size, arm = null, low = null, high = null }) => [
      category,
      size,
      arm,
      low,
      high,
    ]),
    2,
  );

export const dataOf = (chart: Chart | SmallMultiples): FigureData => {
  if (chart.kind === 'bars') return ofBars(chart);
  return ofPlanes(chart.kind === 'multiples' ? chart.panels : [chart]);
};
