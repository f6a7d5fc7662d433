// alignlab study: a paper's experiments, end to end, with a report.
import { basename } from 'node:path';
import cliProgress from 'cli-progress';
import { Command } from 'commander';
import {
  type StudyOutcome,
  performanceGap,
  recipeOf,
  recipes,
  stageCount,
} from '../../studies/performance-gap/index.js';
import type { Signature } from '../../studies/signature.js';
import type { StageEvent } from '../../studies/study.js';
import { worldNames } from '../../worlds/index.js';
import { note, number, print, table } from '../output.js';

interface Flags {
  readonly scale: string;
  readonly output: string;
  readonly resume?: boolean;
  readonly world?: string;
  readonly seeds?: number;
  readonly threads: number;
  readonly json?: boolean;
}

/** On a terminal a bar for the whole and the stage's name; elsewhere a line for each stage. */
const showEvents = (stages: number) => {
  const isTerminal = process.stderr.isTTY;
  const bar = isTerminal
    ? new cliProgress.SingleBar({
        format: '{bar} {value}/{total} stages  {stage} {part}',
        stream: process.stderr,
        hideCursor: true,
        barsize: 24,
      })
    : null;
  let done = 0;
  bar?.start(stages, 0, { stage: '', part: '' });
  const onEvent = ({ stage, kind, done: at = 0, of = 1 }: StageEvent): void => {
    const ended = kind === 'finished' || kind === 'reused';
    done += Number(ended);
    const part = kind === 'progress' ? `${Math.round((100 * at) / of)} %` : '';
    bar?.update(done, { stage, part });
    if (!bar && ended) note(`${done}/${stages} ${stage}${kind === 'reused' ? ' (kept)' : ''}`);
  };
  return { onEvent, stop: () => bar?.stop() };
};

const figure = (value: number | null): string => (value === null ? '-' : value.toFixed(3));

const row = ({ id, verdict, value, interval, claim }: Signature): string[] => [
  id,
  verdict,
  figure(value),
  interval ? `${figure(interval[0])} to ${figure(interval[1])}` : '',
  claim,
];

const summary = ({ signatures, report, runs }: StudyOutcome): string => {
  const tested = signatures.filter(({ verdict }) => verdict !== 'not tested');
  const open = signatures.filter(({ verdict }) => verdict === 'not tested').map(({ id }) => id);
  const { recipe } = runs;
  return [
    `performance-gap, scale ${recipe.scale}, world ${recipe.world}, seeds ${recipe.seeds.join(', ')}`,
    '',
    table([['', 'verdict', 'value', '95 % interval', 'signature'], ...tested.map(row)]),
    '',
    `not tested: ${open.join(', ')}`,
    `report: ${report}`,
  ].join('\n');
};

const commandOf = ({ scale, output, world, seeds }: Flags): string =>
  [
    `npx alignlab study performance-gap --scale ${scale}`,
    ...(world === undefined ? [] : [`--world ${world}`]),
    ...(seeds === undefined ? [] : [`--seeds ${seeds}`]),
    `--output ${basename(output)}`,
  ].join(' ');

const performanceGapCommand = new Command('performance-gap')
  .description('Tang et al. 2024 (arXiv 2405.08448): what separates online from offline alignment')
  .option('--scale <name>', Object.keys(recipes).join(' or '), 'quick')
  .option('--output <folder>', 'results, models, report', 'performance-gap')
  .option('--resume', 'go on with the study that the folder holds')
  .option('--world <name>', `${worldNames.join(', ')} (default: of the scale)`)
  .option('--seeds <n>', 'how many (default: of the scale)', number)
  .option('--threads <n>', 'of the engine; does not change results', number, 1)
  .option('--json', 'print the signatures as one JSON array')
  .action(async (flags: Flags) => {
    const { scale, world, seeds, output, resume = false, threads } = flags;
    const recipe = recipeOf(scale, {
      ...(world === undefined ? {} : { world }),
      ...(seeds === undefined ? {} : { seeds }),
    });
    const controller = new AbortController();
    const { signal } = controller;
    const stop = (): void => {
      controller.abort();
    };
    process.once('SIGINT', stop); // a second Ctrl-C ends the process at once
    const shown = showEvents(stageCount(recipe));
    try {
      const { onEvent } = shown;
      const command = commandOf(flags);
      const options = { recipe, folder: output, resume, threads, command, signal, onEvent };
      const outcome = await performanceGap(options);
      shown.stop();
      print(flags.json ? JSON.stringify(outcome.signatures) : summary(outcome));
      if (outcome.failed.length > 0) {
        note(`This scale asserts ${outcome.failed.join(', ')}, and it does not hold.`);
        process.exitCode = 1;
      }
    } catch (error) {
      shown.stop();
      if (!signal.aborted) throw error;
      note(`\nStopped. Go on with: ${commandOf(flags)} --resume`);
      process.exitCode = 130; // as shells report an end by SIGINT
    } finally {
      process.removeListener('SIGINT', stop);
    }
  });

export const studyCommand = new Command('study')
  .helpGroup('Studies:')
  .description("run a paper's experiments, from the data to a report")
  .addCommand(performanceGapCommand);
