// Charts to SVG: clouds with their upper envelopes, arms with bands, bars with error bars, and small
// multiples of the first two.
import { barSpec } from './bars.js';
import { type Chart, type SmallMultiples, checkChart } from './chart.js';
import { dataOf } from './chart-data.js';
import { describe } from './describe.js';
import { type Drawing, toSvg } from './drawing.js';
import type { Figure } from './figure.js';
import { drawMultiples, drawNarrow } from './multiples.js';
import { planeSpec } from './plane.js';
import { draw } from './svg.js';

export type { Figure } from './figure.js';

const drawWide = async (chart: Chart | SmallMultiples): Promise<Drawing> => {
  if (chart.kind === 'multiples') return drawMultiples(chart);
  return draw(chart.kind === 'bars' ? barSpec(chart) : planeSpec(chart));
};

/**
 * Draws a figure, for wide and for narrow pages. The same chart gives the same text. Throws
 * NON_FINITE for a NaN or an infinity, OPTION_INVALID for what cannot be drawn, both with the name
 * of the figure.
 */
export const renderChart = async (chart: Chart | SmallMultiples): Promise<Figure> => {
  checkChart(chart);
  const { name, alt = describe(chart) } = chart;
  return {
    name,
    alt,
    svg: toSvg(await drawWide(chart), alt),
    narrow: toSvg(await drawNarrow(chart), alt),
    data: dataOf(chart),
  };
};
