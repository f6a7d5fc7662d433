// From a vega-lite specification to an SVG text that stands alone, is the same every time, and tells
// a reader who points at a mark what it is.
import * as vega from 'vega';
import { type TopLevelSpec, compile } from 'vega-lite';
import { escapeHtml } from './html.js';
import { font } from './style.js';

// Widths of texts by vega's estimate, even where a canvas package is installed.
(vega as unknown as { textMetrics: { canvas(use: boolean): void } }).textMetrics.canvas(false);

const rounded = (numbers: string): string =>
  numbers.replace(/-?\d+\.\d{3,}(e-?\d+)?/g, (number) =>
    String(Math.round(+number * 100) / 100 + 0),
  );

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

export const textAt = (x: number, y: number, style: string, words: string): string =>
  `<text x="${x}" y="${y}" font-family="${font}" ${style}>${escapeHtml(words)}</text>`;

/** Pixels from one line of a title to the next. */
export const titleHeight = 19;

export const headingOf = (lines: readonly string[]): string =>
  lines
    .map((line, i) =>
      textAt(
        12,
        20 + titleHeight * i,
        'font-size="14" font-weight="bold" fill="currentColor"',
        line,
      ),
    )
    .join('');

export interface Drawing {
  readonly width: number;
  readonly height: number;
  /** What stands between the svg tags. */
  readonly body: string;
}

export interface SizedSpec {
  /** With sizes of its own and `autosize` none. */
  readonly spec: TopLevelSpec;
  /** Lines that stand above the plot, in the padding of the specification. */
  readonly heading: readonly string[];
  /** Of the whole figure, in pixels. */
  readonly width: number;
  readonly height: number;
}

export const draw = async ({ spec, heading, width, height }: SizedSpec): Promise<Drawing> => {
  const logger = vega.logger(vega.Error);
  const view = new vega.View(vega.parse(compile(spec, { logger }).spec), {
    renderer: 'none',
    logger,
  });
  try {
    const svg = await view.toSVG();
    const inner = svg.slice(svg.indexOf('>') + 1, svg.lastIndexOf('</svg>'));
    return { width, height, body: headingOf(heading) + describeMarks(roundCoordinates(inner)) };
  } finally {
    view.finalize();
  }
};

export const toSvg = ({ width, height, body }: Drawing, alt: string): string =>
  `${opening(width, height, alt)}${body}</svg>`;

export const nested = ({ width, height, body }: Drawing, x: number, y: number): string =>
  `<svg x="${x}" y="${y}" width="${width}" height="${height}" ` +
  `viewBox="0 0 ${width} ${height}">${body}</svg>`;
