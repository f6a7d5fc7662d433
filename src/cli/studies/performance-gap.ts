// alignlab study performance-gap: Tang et al. 2024, end to end.
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { Command } from 'commander';
import {
  type Recipe,
  type RecipeChanges,
  experimentIds,
  performanceGap,
  recipeOf,
  recipeOfFiles,
  recipes,
} from '../../studies/performance-gap/index.js';
import { worldNames } from '../../worlds/index.js';
import { invalid } from '../config/layers.js';
import { modelFolder } from '../models.js';
import { note, number } from '../output.js';
import { idsOf, runStudyCommand } from './run-study.js';
import { type SeedChoice, seedChoice, seedsHelp, seedsText } from './seeds.js';

interface Flags {
  readonly scale: string;
  readonly output: string;
  readonly only?: readonly string[];
  readonly resume?: boolean;
  readonly world?: string;
  readonly model?: string;
  readonly preferences?: string;
  readonly maxLength?: number;
  readonly learningRate?: number;
  readonly beta?: number;
  readonly steps?: number;
  readonly batchSize?: number;
  readonly maxNewTokens?: number;
  readonly seeds?: SeedChoice;
  readonly device?: string;
  readonly jobs: number;
  readonly threads: number;
  readonly json?: boolean;
}

const given = <Value>(name: string, value: Value | undefined) =>
  value === undefined ? {} : { [name]: value };

/** Without what changes no result. */
const commandOf = (flags: Flags, shown: (path: string) => string): string => {
  const { scale, output, only, model, preferences } = flags;
  const values = {
    only: only?.join(),
    world: flags.world,
    model: model === undefined ? undefined : shown(model),
    preferences: preferences === undefined ? undefined : shown(preferences),
    'max-length': flags.maxLength,
    'learning-rate': flags.learningRate,
    beta: flags.beta,
    steps: flags.steps,
    'batch-size': flags.batchSize,
    'max-new-tokens': flags.maxNewTokens,
    seeds: flags.seeds === undefined ? undefined : seedsText(flags.seeds),
    device: flags.device,
  };
  return [
    `npx alignlab study performance-gap --scale ${scale}`,
    ...Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name} ${value}`],
    ),
    `--output ${shown(output)}`,
  ].join(' ');
};

const changesOf = (flags: Flags): Omit<RecipeChanges, 'world'> => ({
  ...given('seeds', flags.seeds),
  ...given('device', flags.device),
  ...given('learningRate', flags.learningRate),
  ...given('beta', flags.beta),
  ...given('steps', flags.steps),
  ...given('batchSize', flags.batchSize),
  ...given('maxNewTokens', flags.maxNewTokens),
});

const recipeOfFlags = async (flags: Flags): Promise<Recipe> => {
  const { scale, world, model, preferences, maxLength } = flags;
  if (model === undefined && preferences === undefined) {
    if (maxLength === undefined)
      return recipeOf(scale, { ...changesOf(flags), ...given('world', world) });
    throw invalid('--max-length is for --model and --preferences. Give these, or leave it out.');
  }
  if (model === undefined || preferences === undefined) {
    throw invalid(
      `--${model === undefined ? 'preferences' : 'model'} was given alone. The study takes a ` +
        'checkpoint and pairs together: --model FOLDER --preferences FILE.',
    );
  }
  if (world !== undefined) {
    throw invalid('--world was given with --model and --preferences. Give one or the other.');
  }
  const files = { model: await modelFolder(model), preferences, ...given('maxTokens', maxLength) };
  const { recipe, notes } = await recipeOfFiles(scale, files, changesOf(flags));
  notes.forEach(note);
  return recipe;
};

const groundOf = ({ world }: Recipe, { model = '' }: Flags): string =>
  world === null ? `model ${basename(model)}` : `world ${world}`;

const runCommand = async (flags: Flags): Promise<void> => {
  const { scale, output, only, resume = false, jobs, threads } = flags;
  const recipe = await recipeOfFlags(flags);
  return runStudyCommand({
    title: `performance-gap, scale ${scale}, ${groundOf(recipe, flags)}, seeds ${recipe.seeds.join(', ')}`,
    command: commandOf(flags, (path) => path),
    json: flags.json ?? false,
    run: (hooks) =>
      performanceGap({
        recipe,
        folder: output,
        ...given('only', only),
        resume,
        jobs,
        threads,
        command: commandOf(flags, (path) => basename(path)), // reports are passed on, paths are not
        ...hooks,
      }),
  });
};

export const performanceGapCommand = new Command('performance-gap')
  .description('Tang et al. 2024 (arXiv 2405.08448): what separates online from offline alignment')
  .option('--scale <name>', Object.keys(recipes).join(', '), 'quick')
  .option('--output <folder>', 'results, models, report', 'performance-gap')
  .option('--only <ids>', `of ${experimentIds.join(', ')} (default: all of the scale)`, idsOf)
  .option('--resume', 'go on with the study that the folder holds')
  .option('--world <name>', `${worldNames.join(', ')} (default: of the scale)`)
  .option('--model <folder>', 'a checkpoint of your own instead of a world, with --preferences')
  .option('--preferences <file>', 'pairs of your own: prompt, chosen, rejected')
  .option('--max-length <n>', 'tokens of a prompt with two responses (default: up to 1024)', number)
  .option('--learning-rate <x>', 'of the arms; the sweeps around it keep their ratios', number)
  .option('--beta <x>', 'of the arms; the sweeps around it keep their ratios', number)
  .option('--steps <n>', 'of each arm', number)
  .option('--batch-size <n>', 'pairs of a step of the arms', number)
  .option('--max-new-tokens <n>', 'of a response', number)
  .option('--seeds <n>', seedsHelp, seedChoice)
  .option('--device <name>', 'of all models (default: of the scale)')
  .option(
    '--jobs <n>',
    'stages at the same time; does not change results',
    number,
    Math.min(4, availableParallelism()),
  )
  .option('--threads <n>', 'of the engine of each job; does not change results', number, 1)
  .option('--json', 'print the signatures as one JSON array')
  .action(runCommand);
