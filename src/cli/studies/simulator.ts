// alignlab study simulator: Niu et al. 2022, end to end.
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { Command } from 'commander';
import { experimentIds, recipeOf, recipes, simulator } from '../../studies/simulator/index.js';
import { number } from '../output.js';
import { idsOf, runStudyCommand } from './run-study.js';
import { type SeedChoice, seedChoice, seedsHelp, seedsText } from './seeds.js';

interface Flags {
  readonly scale: string;
  readonly output: string;
  readonly only?: readonly string[];
  readonly resume?: boolean;
  readonly seeds?: SeedChoice;
  readonly jobs: number;
  readonly threads: number;
  readonly json?: boolean;
}

/** Without what changes no result. */
const commandOf = ({ scale, only, seeds }: Flags, folder: string): string =>
  [
    `npx alignlab study simulator --scale ${scale}`,
    ...(only === undefined ? [] : [`--only ${only.join()}`]),
    ...(seeds === undefined ? [] : [`--seeds ${seedsText(seeds)}`]),
    `--output ${folder}`,
  ].join(' ');

const runCommand = (flags: Flags): Promise<void> => {
  const { scale, output, only, seeds, resume = false, jobs, threads } = flags;
  const recipe = recipeOf(scale, seeds === undefined ? {} : { seeds });
  return runStudyCommand({
    title: `simulator, scale ${scale}, seeds ${recipe.seeds.join(', ')}`,
    command: commandOf(flags, output),
    json: flags.json ?? false,
    run: (hooks) =>
      simulator({
        recipe,
        folder: output,
        ...(only === undefined ? {} : { only }),
        resume,
        jobs,
        threads,
        command: commandOf(flags, basename(output)), // reports are passed on, paths are not
        ...hooks,
      }),
  });
};

export const simulatorCommand = new Command('simulator')
  .description('Niu et al. 2022 (arXiv 2206.13464): H2O, and when to trust a simulator')
  .option('--scale <name>', Object.keys(recipes).join(', '), 'quick')
  .option('--output <folder>', 'results, data, policies, report', 'simulator')
  .option('--only <ids>', `of ${experimentIds.join(', ')} (default: all of the scale)`, idsOf)
  .option('--resume', 'go on with the study that the folder holds')
  .option('--seeds <n>', seedsHelp, seedChoice)
  .option(
    '--jobs <n>',
    'stages at the same time; does not change results',
    number,
    Math.min(4, availableParallelism()),
  )
  .option('--threads <n>', 'of the engine of each job; does not change results', number, 1)
  .option('--json', 'print the signatures as one JSON array')
  .action(runCommand);
