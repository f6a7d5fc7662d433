// Puts a report into its folder.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fromSystem } from '../errors.js';
import { writeWhole } from '../files.js';
import { reportMarkdown } from './markdown.js';
import { reportPage } from './page.js';
import type { Report } from './report.js';

export interface WrittenReport {
  readonly page: string;
  readonly markdown: string;
  readonly figures: readonly string[];
}

/**
 * Writes figures/NAME.svg, report.md and, last, report.html, each of them whole; makes the folder
 * where there is none. A report that contradicts itself is refused before anything is written.
 */
export const writeReport = async (folder: string, report: Report): Promise<WrittenReport> => {
  const [page, markdown] = [reportPage(report), reportMarkdown(report)];
  const drawings = join(folder, 'figures');
  await mkdir(drawings, { recursive: true }).catch((cause: unknown) => {
    throw fromSystem(cause, `make ${drawings}`);
  });
  const written = {
    page: join(folder, 'report.html'),
    markdown: join(folder, 'report.md'),
    figures: report.figures.map(({ name }) => join(drawings, `${name}.svg`)),
  };
  for (const [i, { svg }] of report.figures.entries()) {
    await writeWhole(written.figures[i]!, `${svg}\n`);
  }
  await writeWhole(written.markdown, markdown);
  await writeWhole(written.page, page);
  return written;
};
