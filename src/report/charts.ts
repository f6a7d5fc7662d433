// Charts to SVG: clouds with their upper envelopes, arms with bands, bars with error bars, and small
// multiples of the first two.
import { barSpec } from './bars.js';
import { type Chart, type SmallMultiples, checkChart } from './chart.js';
import { describe } from './describe.js';
import { drawMultiples } from './multiples.js';
import { planeSpec } from './plane.js';
import { draw, toSvg } from './svg.js';

export interface Figure {
  readonly name: string;
  readonly svg: string;
  /** What the figure shows, for readers who do not see it; the svg has it as its label. */
  readonly alt: string;
}

/**
 * Draws a figure. The same chart gives the same text. Throws NON_FINITE for a NaN or an infinity,
 * OPTION_INVALID for what cannot be drawn, both with the name of the figure.
 */
export const renderChart = async (chart: Chart | SmallMultiples): Promise<Figure> => {
  checkChart(chart);
  const { name, alt = describe(chart) } = chart;
  if (chart.kind === 'multiples') {
    return { name, alt, svg: toSvg(await drawMultiples(chart), alt) };
  }
  const sized = chart.kind === 'bars' ? barSpec(chart) : planeSpec(chart);
  return { name, alt, svg: toSvg(await draw(sized), alt) };
};
