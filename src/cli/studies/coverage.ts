// alignlab study coverage: Song et al. 2024.
import { basename } from 'node:path';
import { Command } from 'commander';
import {
  type CoverageOutcome,
  coverage,
  experimentIds,
  recipeOf,
  recipes,
} from '../../studies/coverage/index.js';
import { note, number, print } from '../output.js';
import { studyProgress } from './progress.js';
import { signatureTable } from './signature-table.js';

interface Flags {
  readonly scale: string;
  readonly output: string;
  readonly only?: readonly string[];
  readonly resume?: boolean;
  readonly seeds?: number;
  readonly threads: number;
  readonly json?: boolean;
}

const summary = ({ signatures, report, recipe }: CoverageOutcome): string =>
  [
    `coverage, scale ${recipe.scale}, seeds ${recipe.seeds.join(', ')}`,
    '',
    signatureTable(signatures),
    `report: ${report}`,
  ].join('\n');

/** Without what changes no result. */
const commandOf = ({ scale, output, only, seeds }: Flags): string =>
  [
    `npx alignlab study coverage --scale ${scale}`,
    ...(only === undefined ? [] : [`--only ${only.join()}`]),
    ...(seeds === undefined ? [] : [`--seeds ${seeds}`]),
    `--output ${basename(output)}`,
  ].join(' ');

const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((id) => id.trim())
    .filter((id) => id !== '');

const runStudy = async (flags: Flags, signal: AbortSignal): Promise<CoverageOutcome> => {
  const { scale, seeds, output, only, resume = false, threads } = flags;
  const progress = studyProgress();
  try {
    return await coverage({
      recipe: recipeOf(scale, seeds === undefined ? {} : { seeds }),
      folder: output,
      ...(only === undefined ? {} : { only }),
      resume,
      threads,
      command: commandOf(flags),
      signal,
      onEvent: progress.onEvent,
      onPlan: progress.onPlan,
    });
  } finally {
    progress.stop();
  }
};

const runCommand = async (flags: Flags): Promise<void> => {
  const controller = new AbortController();
  const { signal } = controller;
  const stop = (): void => {
    controller.abort();
  };
  process.once('SIGINT', stop); // a second Ctrl-C ends the process at once
  try {
    const outcome = await runStudy(flags, signal);
    print(flags.json ? JSON.stringify(outcome.signatures) : summary(outcome));
    if (outcome.failed.length === 0) return;
    note(`This scale asserts ${outcome.failed.join(', ')}, and it does not hold.`);
    process.exitCode = 1;
  } catch (error) {
    if (!signal.aborted) throw error;
    note(`\nStopped. Go on with: ${commandOf(flags)} --resume`);
    process.exitCode = 130; // as shells report an end by SIGINT
  } finally {
    process.removeListener('SIGINT', stop);
  }
};

export const coverageCommand = new Command('coverage')
  .description('Song et al. 2024 (arXiv 2406.01462): what HyPO and online data buy')
  .option('--scale <name>', Object.keys(recipes).join(', '), 'quick')
  .option('--output <folder>', 'results, report', 'coverage')
  .option('--only <ids>', `of ${experimentIds.join(', ')} (default: all of the scale)`, listOf)
  .option('--resume', 'go on with the study that the folder holds')
  .option('--seeds <n>', 'how many (default: of the scale)', number)
  .option('--threads <n>', 'of the engine; does not change results', number, 1)
  .option('--json', 'print the signatures as one JSON array')
  .action(runCommand);
