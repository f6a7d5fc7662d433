// Figures as PNG, by an optional package that is loaded when a figure is asked for.
import { AlignlabError } from '../errors.js';
import { standalone } from './drawing.js';

/** What is used of @resvg/resvg-js 2.6. */
interface Drawn {
  getBBox(): { readonly width: number } | undefined;
  render(): { asPng(): Buffer };
}
interface Rasteriser {
  readonly Resvg: new (svg: string, options: object) => Drawn;
}

const packageName = '@resvg/resvg-js';

const missing = (what: string, wayOut: string, cause?: unknown): AlignlabError =>
  new AlignlabError(
    'OPTION_INVALID',
    `PNG files need ${what}. ${wayOut}, or save single figures from the page by its PNG buttons.`,
    cause === undefined ? {} : { cause },
  );

/** Sans-serif families that systems come with, the commonest first. */
const families = [
  'Helvetica',
  'Arial',
  'Liberation Sans',
  'DejaVu Sans',
  'Noto Sans',
  'Roboto',
  'Open Sans',
] as const;

/** The width of a text as drawn in a family, or in any where it is not there; null without fonts. */
const widthIn = ({ Resvg }: Rasteriser, family: string): number | null => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="20">' +
    `<text y="15" font-family="${family}">Most figures fall, 0123456789</text></svg>`;
  return new Resvg(svg, { font: { loadSystemFonts: true } }).getBBox()?.width ?? null;
};

/** Options that make 'sans-serif' an installed family: without them it may be any font, with serifs. */
const fontsOf = (rasteriser: Rasteriser): object => {
  const any = widthIn(rasteriser, 'no such family');
  if (any === null) {
    throw missing('a font, and this system has none', 'Install one, such as DejaVu Sans');
  }
  // Where none differs from the font that stands in for others, that font is the only one.
  const family = families.find((name) => widthIn(rasteriser, name) !== any);
  return {
    loadSystemFonts: true,
    ...(family === undefined ? {} : { sansSerifFamily: family, defaultFontFamily: family }),
  };
};

const load = async (name: string): Promise<Rasteriser> => {
  try {
    const loaded = (await import(name)) as { readonly default?: Rasteriser } & Rasteriser;
    return loaded.default ?? loaded;
  } catch (cause) {
    throw missing(
      `the package ${name}, which is not installed`,
      `Install it by "npm install ${name}"`,
      cause,
    );
  }
};

/**
 * A function from SVG texts to PNG files, dark on white, with two pixels for each of the figure's.
 * Throws OPTION_INVALID where the package is not installed, or the system has no font to write with.
 */
export const pngRenderer = async (name = packageName): Promise<(svg: string) => Buffer> => {
  const rasteriser = await load(name);
  const options = { font: fontsOf(rasteriser), fitTo: { mode: 'zoom', value: 2 } };
  return (svg) => new rasteriser.Resvg(standalone(svg), options).render().asPng();
};
