// A figure in words, for readers who do not see it.
import {
  type Axis,
  type BarChart,
  type Chart,
  type PlaneChart,
  type Series,
  type SmallMultiples,
  seriesOf,
} from './chart.js';
import { formatInterval, formatNumber } from './numbers.js';

export const axisTitle = ({ title, unit }: Pick<Axis, 'title' | 'unit'>): string =>
  unit === undefined ? title : `${title} (${unit})`;

const extent = (values: readonly number[]): string =>
  formatInterval([
    values.reduce((a, b) => Math.min(a, b)),
    values.reduce((a, b) => Math.max(a, b)),
  ]);

const ofCloud = ({ label, points, envelope }: Series): string => {
  if (points.length === 0) return `${label}: no data`;
  const count = `${points.length} ${points.length === 1 ? 'point' : 'points'}`;
  const ys = extent(points.map(({ y }) => y));
  const top = envelope?.at(-1);
  const peak = top ? `, envelope up to ${formatNumber(top.y)} at ${formatNumber(top.x)}` : '';
  return `${label}: ${count} from ${ys}${peak}`;
};

const ofArm = ({ label, points }: Series): string => {
  const sorted = [...points].sort((a, b) => a.x - b.x);
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (!first || !last) return `${label}: no data`;
  if (sorted.length === 1) return `${label}: ${formatNumber(first.y)} at ${formatNumber(first.x)}`;
  const [start, end] = [first, last].map(({ x, y }) => `${formatNumber(y)} at ${formatNumber(x)}`);
  return `${label}: from ${start} to ${end}`;
};

const ofPlane = (chart: PlaneChart): string => {
  const one = chart.kind === 'scatter' ? ofCloud : ofArm;
  const list = seriesOf(chart).map(one);
  return `${axisTitle(chart.y)} over ${axisTitle(chart.x)}. ${list.join('; ') || 'No data'}.`;
};

const ofBars = ({ value, bars }: BarChart): string => {
  const list = bars.map(({ category, arm, value: height, low, high }) => {
    const ends = low === undefined || high === undefined ? '' : ` (${formatInterval([low, high])})`;
    return `${category}${arm === undefined ? '' : `, ${arm}`}: ${formatNumber(height)}${ends}`;
  });
  return `${axisTitle(value)}. ${list.join('; ') || 'No data'}.`;
};

export const describe = (chart: Chart | SmallMultiples): string => {
  const title = chart.title === undefined ? '' : `${chart.title}. `;
  if (chart.kind === 'bars') return title + ofBars(chart);
  if (chart.kind !== 'multiples') return title + ofPlane(chart);
  return title + chart.panels.map((panel) => `${panel.title}: ${ofPlane(panel)}`).join(' ');
};
