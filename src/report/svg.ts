// From a vega-lite specification to an SVG text that stands alone, is the same every time, and tells
// a reader who points at a mark what it is.
import * as vega from 'vega';
import { type TopLevelSpec, compile } from 'vega-lite';
import { escapeHtml } from './html.js';

// Widths of texts by vega's estimate, even where a canvas package is installed.
(vega.textMetrics as { canvas(use: boolean): void }).canvas(false);

const rounded = (numbers: string): string =>
  numbers.replace(/-?\d+\.\d{3,}(e-?\d+)?/g, (number) => String(Math.round(+number * 100) / 100 + 0));

/** Coordinates to a hundredth of a pixel: smaller, and the same on machines that round otherwise. */
const roundCoordinates = (svg: string): string =>
  svg.replace(
    /( (?:d|transform|x|y|x1|x2|y1|y2|width|height)=")([^"]*)/g,
    (_, attribute: string, value: string) => attribute + rounded(value),
  );

/** Descriptions of marks become titles, which browsers show; groups need no role inside an image. */
const describeMarks = (svg: string): string =>
  svg
    .replace(
      / aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="[^"]*"([^>]*)\/>/g,
      (_, label: string, rest: string) => `${rest}><title>${label}</title></path>`,
    )
    .replace(/ (?:role="graphics-[a-z]+"|aria-roledescription="[^"]*"|aria-hidden="true")/g, '')
    .replace(/<path class="(?:back|fore)ground"[^>]*d=""[^>]*\/>/g, '');

const opening = (width: number, height: number, alt: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(alt)}" ` +
  `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`;

export interface Drawing {
  readonly width: number;
  readonly height: number;
  /** What stands between the svg tags. */
  readonly body: string;
}

/** @param spec with fixed sizes and `autosize` none: `width` and `height` are of the whole figure */
export const draw = async (spec: TopLevelSpec, width: number, height: number): Promise<Drawing> => {
  const view = new vega.View(vega.parse(compile(spec).spec), {
    renderer: 'none',
    logLevel: vega.Error,
  });
  try {
    const svg = await view.toSVG();
    const inner = svg.slice(svg.indexOf('>') + 1, svg.lastIndexOf('</svg>'));
    return { width, height, body: describeMarks(roundCoordinates(inner)) };
  } finally {
    view.finalize();
  }
};

export const toSvg = ({ width, height, body }: Drawing, alt: string): string =>
  `${opening(width, height, alt)}${body}</svg>`;

export const nested = ({ width, height, body }: Drawing, x: number, y: number): string =>
  `<svg x="${x}" y="${y}" width="${width}" height="${height}" ` +
  `viewBox="0 0 ${width} ${height}">${body}</svg>`;
