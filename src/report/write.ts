// Puts a report into its folder.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fromSystem } from '../errors.js';
import { writeWhole } from '../files.js';
import { standalone } from './drawing.js';
import { toCsv } from './figure.js';
import { reportMarkdown } from './markdown.js';
import { reportPage } from './page.js';
import { figurePath } from './page-figure.js';
import type { Report, ReportFigure } from './report.js';
import { storedName, storedText } from './stored.js';

export interface WriteOptions {
  /** Also each figure as PNG; needs the package @resvg/resvg-js. Default false. */
  readonly png?: boolean;
}

export interface WrittenReport {
  readonly page: string;
  readonly markdown: string;
  /** SVG files, one a figure; PNG, CSV and JSON lie beside them. */
  readonly figures: readonly string[];
}

type Files = readonly (readonly [ending: string, contents: string | Uint8Array])[];

const filesOf = (figure: ReportFigure, toPng: ((svg: string) => Uint8Array) | null): Files => {
  const { title, caption, alt, data } = figure;
  return [
    ['svg', `${standalone(figure.svg)}\n`],
    ...(toPng ? ([['png', toPng(figure.svg)]] as const) : []),
    ...(data
      ? ([
          ['csv', toCsv(data)],
          ['json', `${JSON.stringify({ title, caption, alt, ...data })}\n`],
        ] as const)
      : []),
  ];
};

/**
 * Writes figures/NAME.svg (.csv and .json with its data, .png), report.json, report.md and, last,
 * report.html, each of them whole; makes the folder where there is none. A report that contradicts
 * itself, or PNG without the package for it, is refused before anything is written.
 */
export const writeReport = async (
  folder: string,
  report: Report,
  { png = false }: WriteOptions = {},
): Promise<WrittenReport> => {
  const [page, markdown] = [reportPage(report), reportMarkdown(report)];
  const toPng = png ? await (await import('./png.js')).pngRenderer() : null;
  const figures = report.figures.map((figure) => [figure.name, filesOf(figure, toPng)] as const);
  const drawings = join(folder, 'figures');
  await mkdir(drawings, { recursive: true }).catch((cause: unknown) => {
    throw fromSystem(cause, `make ${drawings}`);
  });
  for (const [name, files] of figures) {
    for (const [ending, contents] of files) {
      await writeWhole(join(folder, figurePath(name, ending)), contents);
    }
  }
  const written = {
    page: join(folder, 'report.html'),
    markdown: join(folder, 'report.md'),
    figures: figures.map(([name]) => join(folder, figurePath(name, 'svg'))),
  };
  await writeWhole(join(folder, storedName), storedText(report));
  await writeWhole(written.markdown, markdown);
  await writeWhole(written.page, page);
  return written;
};
