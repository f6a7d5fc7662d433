// What all drawn charts have around their marks: a title, padding, the plot, words where it is empty.
import type { TopLevelSpec } from 'vega-lite';
import { titleHeight } from './drawing.js';
import { wrap } from './layout.js';
import { config } from './style.js';
import type { SizedSpec } from './svg.js';

export type Layer = Extract<TopLevelSpec, { layer: unknown }>['layer'][number];
export type Encoding = NonNullable<Extract<TopLevelSpec, { layer: unknown }>['encoding']>;

/** Room in pixels around the plot. */
export interface Margins {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export interface Plot {
  readonly width: number;
  readonly height: number;
}

export const titleLines = (title: string | undefined, width: number): string[] =>
  title === undefined ? [] : wrap(title, Math.floor(width / 7.8));

/** Pixels above the plot of a figure of this width with this title. */
export const topOf = (title: string | undefined, width: number): number =>
  12 + titleLines(title, width).length * titleHeight;

export const plotOf = (width: number, height: number, margins: Margins): Plot => ({
  width: width - margins.left - margins.right,
  height: height - margins.top - margins.bottom,
});

const emptyLayer = ({ width, height }: Plot, encoding: Encoding): Layer => ({
  data: { values: [{}] },
  mark: { type: 'text', text: 'No data yet', fontSize: 14, opacity: 0.7, aria: false },
  encoding: {
    x: { value: width / 2 },
    y: { value: height / 2 },
    ...('yOffset' in encoding ? { yOffset: { value: 0 } } : {}),
  },
});

export interface Framed {
  readonly title: string | undefined;
  /** Of the whole figure. */
  readonly width: number;
  readonly height: number;
  readonly margins: Margins;
  readonly encoding: Encoding;
  readonly layers: readonly Layer[];
  /** True: the plot says that there are no data yet. */
  readonly empty: boolean;
}

export const framed = (chart: Framed): SizedSpec => {
  const { title, width, height, margins, encoding, layers, empty } = chart;
  const plot = plotOf(width, height, margins);
  const spec: TopLevelSpec = {
    ...plot,
    padding: margins,
    autosize: 'none',
    config: config as unknown as NonNullable<TopLevelSpec['config']>,
    encoding,
    layer: [...layers, ...(empty ? [emptyLayer(plot, encoding)] : [])],
  };
  return { spec, heading: titleLines(title, width), width, height };
};
