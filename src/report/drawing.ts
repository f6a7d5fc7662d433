// SVG by hand: texts, headings, drawings inside drawings, and figures that no chart draws.
import { AlignlabError } from '../errors.js';
import { type FigureData, checkName } from './figure.js';
import type { Figure } from './figure.js';
import { escapeHtml } from './html.js';
import { font } from './style.js';

export interface Drawing {
  readonly width: number;
  readonly height: number;
  /** What stands between the svg tags. */
  readonly body: string;
}

const opening = (width: number, height: number, alt: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(alt)}" ` +
  `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`;

export const toSvg = ({ width, height, body }: Drawing, alt: string): string =>
  `${opening(width, height, alt)}${body}</svg>`;

export const nested = ({ width, height, body }: Drawing, x: number, y: number): string =>
  `<svg x="${x}" y="${y}" width="${width}" height="${height}" ` +
  `viewBox="0 0 ${width} ${height}">${body}</svg>`;

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

/** As a file of its own: dark on white, whatever the viewer's background. */
export const standalone = (svg: string): string =>
  svg.replace(
    /^<svg [^>]*>/,
    (tag) =>
      `${tag.slice(0, -1)} color="#1b1f24"><rect width="100%" height="100%" fill="#ffffff"/>`,
  );

export interface OwnFigure extends Drawing {
  /** Lower case letters, digits and hyphens: 'fig-2-poses'. */
  readonly name: string;
  /** What a reader who does not see the figure has to know. */
  readonly alt: string;
  /** The same for pages narrower than 640 pixels; about 360 wide. */
  readonly narrow?: Drawing;
  readonly data?: FigureData;
}

/**
 * A figure of ready-made SVG: strips, heat maps, renderings. The body must stand alone: no style
 * sheets, ids, links or images (the page refuses them). `currentColor` and the colours of style.ts
 * follow the page into the dark.
 */
export const ownFigure = ({ name, alt, narrow, data, ...drawing }: OwnFigure): Figure => {
  checkName(name);
  for (const { width, height } of [drawing, ...(narrow ? [narrow] : [])]) {
    if (width > 0 && height > 0 && Number.isFinite(width) && Number.isFinite(height)) continue;
    throw new AlignlabError(
      'OPTION_INVALID',
      `The figure "${name}" is ${width} by ${height} pixels. Give the size of its drawing.`,
    );
  }
  return {
    name,
    alt,
    svg: toSvg(drawing, alt),
    ...(narrow ? { narrow: toSvg(narrow, alt) } : {}),
    ...(data ? { data } : {}),
  };
};
