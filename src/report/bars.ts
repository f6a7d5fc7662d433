// The specification of bars with error bars. They lie, so that names of any length can be read.
import type { Bar, BarChart } from './chart.js';
import { axisTitle } from './describe.js';
import { type Encoding, type Layer, type Plot, framed, plotOf, topOf } from './frame.js';
import { rangeOf, widthOf, wrap } from './layout.js';
import { formatInterval, formatNumber } from './numbers.js';
import { lookOf } from './style.js';
import type { SizedSpec } from './svg.js';

const unique = (values: readonly string[]): string[] => [...new Set(values)];

const rowOf = ({ category, arm, value, low, high }: Bar, characters: number) => {
  const ends = low === undefined || high === undefined ? '' : ` (${formatInterval([low, high])})`;
  const outermost = value < 0 ? Math.min(value, low ?? value) : Math.max(value, high ?? value);
  return {
    category: wrap(category, characters).join('\n'),
    arm: arm ?? '',
    value,
    ...(ends ? { low, high } : {}),
    edge: outermost,
    text: formatNumber(value),
    note: `${category}${arm === undefined ? '' : `, ${arm}`}: ${formatNumber(value)}${ends}`,
  };
};

type Row = ReturnType<typeof rowOf>;

const barLayers = (rows: readonly Row[], format: string | undefined): Layer[] => {
  const banded = rows.filter(({ low }) => low !== undefined);
  const figure =
    format === undefined
      ? { field: 'text' }
      : { field: 'value', type: 'quantitative' as const, format };
  const text = (negative: boolean): Layer => ({
    data: { values: rows.filter(({ value }) => value < 0 === negative) },
    mark: {
      type: 'text',
      align: negative ? 'right' : 'left',
      baseline: 'middle',
      dx: negative ? -6 : 6,
      aria: false,
    },
    encoding: { x: { field: 'edge', type: 'quantitative' }, text: figure },
  });
  const whisker: Layer = {
    data: { values: banded },
    mark: { type: 'rule', color: 'currentColor', strokeWidth: 1.5, aria: false },
    encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
  };
  const cap = (field: 'low' | 'high'): Layer => ({
    data: { values: banded },
    mark: { type: 'tick', color: 'currentColor', size: 7, thickness: 1.5, aria: false },
    encoding: { x: { field, type: 'quantitative' } },
  });
  return [
    {
      data: { values: [...rows] },
      mark: { type: 'bar', opacity: 0.85 },
      encoding: {
        x: { field: 'value', type: 'quantitative' },
        color: { field: 'arm' },
        description: { field: 'note' },
      },
    },
    ...(banded.length > 0 ? [whisker, cap('low'), cap('high')] : []),
    text(false),
    text(true),
  ];
};

const keyLayers = (arms: readonly string[], width: number): Layer[] =>
  arms.flatMap((arm, i): Layer[] => {
    const y = { value: 10 + 20 * i };
    const { colour } = lookOf(i);
    const noOffset = { yOffset: { value: 0 } };
    return [
      {
        data: { values: [{}] },
        mark: {
          type: 'point',
          shape: 'square',
          filled: true,
          size: 90,
          color: colour,
          opacity: 0.85,
          aria: false,
        },
        encoding: { x: { value: width + 12 }, y, ...noOffset },
      },
      {
        data: { values: [{}] },
        mark: {
          type: 'text',
          text: arm,
          align: 'left',
          baseline: 'middle',
          color: colour,
          fontWeight: 600,
          aria: false,
        },
        encoding: { x: { value: width + 22 }, y, ...noOffset },
      },
    ];
  });

const barHeight = 22;

/** Between bands and before the first, in bands with their gap. */
const gaps = { inner: 0.25, outer: 0.12 };

/** Names at the middle of their bands, also those of several lines. */
const categoryLayers = (categories: readonly string[], height: number): Layer[] => {
  const step = height / (categories.length - gaps.inner + 2 * gaps.outer);
  return categories.map((category, i): Layer => {
    const lines = category.split('\n');
    return {
      data: { values: [{}] },
      mark: {
        type: 'text',
        text: lines,
        align: 'right',
        baseline: 'middle',
        lineHeight: 14,
        dy: 7 - 7 * lines.length,
        opacity: 0.8,
        aria: false,
      },
      encoding: {
        x: { value: -8 },
        y: { value: step * (gaps.outer + i + (1 - gaps.inner) / 2) },
        yOffset: { value: 0 },
      },
    };
  });
};

const longest = (texts: readonly string[]): number =>
  texts.reduce((most, text) => Math.max(most, widthOf(text)), 0);

const encodingOf = (
  { value }: BarChart,
  domain: readonly number[],
  categories: readonly string[],
  arms: readonly string[],
): Encoding => ({
  x: {
    type: 'quantitative',
    scale: { domain: [...domain], nice: false },
    axis: {
      title: axisTitle(value),
      tickCount: 5,
      ...(value.format === undefined ? {} : { format: value.format }),
    },
  },
  y: {
    field: 'category',
    type: 'nominal',
    sort: null,
    scale: { domain: [...categories], paddingInner: gaps.inner, paddingOuter: gaps.outer },
    axis: { title: null, ticks: false, domain: false, grid: false, labels: false },
  },
  ...(arms.length > 1
    ? { yOffset: { field: 'arm', type: 'nominal', scale: { domain: [...arms] } } }
    : {}),
  color: {
    type: 'nominal',
    scale: { domain: [...arms], range: arms.map((_, i) => lookOf(i).colour) },
    legend: null,
  },
});

/** Names of the arms in the order of their colours; none where bars have no arms. */
export const armsOf = ({ bars }: BarChart): string[] => {
  const arms = unique(bars.map(({ arm = '' }) => arm));
  return arms.length > 1 || (arms[0] ?? '') !== '' ? arms : [];
};

/** `keyed` false: the names of the arms stand elsewhere. */
export const barSpec = (chart: BarChart, { keyed = true } = {}): SizedSpec => {
  const { value, bars, width = 600 } = chart;
  const rows = bars.map((bar) => rowOf(bar, width < 480 ? 14 : 24));
  const categories = unique(rows.map(({ category }) => category));
  const arms = unique(rows.map(({ arm }) => arm));
  const named = keyed ? armsOf(chart) : [];
  const margins = {
    left: longest(categories.flatMap((category) => category.split('\n'))) + 20,
    right: named.length > 0 ? longest(named) + 34 : 24,
    top: topOf(chart.title, width),
    bottom: 50,
  };
  const natural = Math.max(2, categories.length * (arms.length + 0.6)) * barHeight;
  const height =
    chart.height ?? Math.max(natural, named.length * 20) + margins.top + margins.bottom;
  const plot: Plot = plotOf(width, height, margins);
  const ends = rows.flatMap(({ value: end, low = end, high = end }) => [end, low, high]);
  const domain = rangeOf({ include: [0, ...(value.include ?? [])] }, ends, 0.16);
  const empty = rows.length === 0;
  return framed({
    title: chart.title,
    width,
    height,
    margins,
    encoding: encodingOf(chart, domain, categories, arms),
    layers: empty
      ? []
      : [
          ...barLayers(rows, value.format),
          ...categoryLayers(categories, plot.height),
          ...keyLayers(named, plot.width),
        ],
    empty,
  });
};
