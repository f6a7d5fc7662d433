// From a vega-lite specification to an SVG text that stands alone, is the same every time, and tells
// a reader who points at a mark what it is.
import type { TopLevelSpec } from 'vega-lite';
import { type Drawing, headingOf } from './drawing.js';

/** Loaded with the first figure, because it is large: most commands draw none. */
const loadVega = async () => {
  const [vega, lite] = await Promise.all([import('vega'), import('vega-lite')]);
  // Widths of texts by vega's estimate, even where a canvas package is installed.
  (vega as unknown as { textMetrics: { canvas(use: boolean): void } }).textMetrics.canvas(false);
  return { vega, compile: lite.compile };
};

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
  const { vega, compile } = await loadVega();
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
