// alignlab report: the page of a study again, or the page of training runs.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { AlignlabError, fromSystem } from '../../errors.js';
import type { Report } from '../../report/report.js';
import { print } from '../output.js';

interface Flags {
  readonly output?: string;
  readonly png?: boolean;
}

const holds = async (folder: string, name: string): Promise<boolean> =>
  stat(join(folder, name)).then(
    () => true,
    () => false,
  );

const isRun = async (folder: string): Promise<boolean> =>
  (await holds(folder, 'metrics.jsonl')) || holds(folder, 'manifest.json');

const readReport = async (folders: readonly string[]): Promise<Report> => {
  const { readStoredReport } = await import('../../report/stored.js');
  const { trainingReport } = await import('../../report/training-report.js');
  const runs = await Promise.all(folders.map(isRun));
  if (runs.every(Boolean)) return trainingReport(folders);
  const folder = folders[runs.indexOf(false)]!;
  await stat(folder).catch((cause: unknown) => {
    throw fromSystem(cause, `read ${folder}`);
  });
  const stored = await readStoredReport(folder);
  if (stored && folders.length === 1) return stored;
  const found = stored
    ? `${folder} holds a study, and a page shows one study or any number of training runs. Name ` +
      'it alone.'
    : (await holds(folder, 'stages'))
      ? `${folder} holds a study that has not come to its report. Finish it by alignlab study … ` +
        '--resume.'
      : `${folder} holds neither a study (report.json) nor a training run (metrics.jsonl, ` +
        'manifest.json). Name a folder that alignlab wrote.';
  throw new AlignlabError('RUN_INVALID', found);
};

export const reportCommand = new Command('report')
  .helpGroup('Studies:')
  .description('the page of training runs side by side, or that of a study again')
  .argument('<folders...>', 'folders of training runs, or the folder of a study')
  .option(
    '--output <folder>',
    'where report.html and figures/ go (default: the folder itself; of several runs: ./report)',
  )
  .option('--png', 'also each figure as PNG; needs the package @resvg/resvg-js')
  .action(async (folders: string[], { output, png = false }: Flags) => {
    const report = await readReport(folders);
    const { writeReport } = await import('../../report/write.js');
    const target = output ?? (folders.length === 1 ? folders[0]! : 'report');
    const { page } = await writeReport(target, report, { png });
    print(`report: ${page}`);
  });
