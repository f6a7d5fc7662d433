// alignlab study coverage: Song et al. 2024.
import { basename } from 'node:path';
import { Command } from 'commander';
import { AlignlabError } from '../../errors.js';
import {
  type Recipe,
  coverage,
  experimentIds,
  recipeOf,
  recipes,
} from '../../studies/coverage/index.js';
import { number } from '../output.js';
import { idsOf, runStudyCommand } from './run-study.js';
import { type SeedChoice, seedChoice, seedsHelp, seedsText } from './seeds.js';

interface Flags {
  readonly scale: string;
  readonly output: string;
  readonly only?: readonly string[];
  readonly resume?: boolean;
  readonly seeds?: SeedChoice;
  readonly model?: string;
  readonly preferences?: string;
  readonly prompts?: string;
  readonly threads: number;
  readonly json?: boolean;
}

/** Without what changes no result. */
const commandOf = (
  { scale, output, only, seeds, ...files }: Flags,
  shown: (path: string) => string,
): string =>
  [
    `npx alignlab study coverage --scale ${scale}`,
    ...(only === undefined ? [] : [`--only ${only.join()}`]),
    ...(seeds === undefined ? [] : [`--seeds ${seedsText(seeds)}`]),
    ...(['model', 'preferences', 'prompts'] as const).flatMap((name) => {
      const path = files[name];
      return path === undefined ? [] : [`--${name} ${shown(path)}`];
    }),
    `--output ${shown(output)}`,
  ].join(' ');

const recipeOfFlags = ({ scale, seeds, model, preferences, prompts }: Flags): Recipe => {
  const recipe = recipeOf(scale, seeds === undefined ? {} : { seeds });
  if (model === undefined && preferences === undefined && prompts === undefined) return recipe;
  if (model === undefined || preferences === undefined || prompts === undefined) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'The experiment on files takes three of them: --model FOLDER --preferences FILE --prompts FILE.',
    );
  }
  const { stories } = recipe;
  if (stories === null) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `The scale ${scale} has no experiment on files. Leave --model, --preferences and --prompts out.`,
    );
  }
  return { ...recipe, stories: { ...stories, files: { model, preferences, prompts } } };
};

const runCommand = (flags: Flags): Promise<void> => {
  const { output, only, resume = false, threads } = flags;
  const recipe = recipeOfFlags(flags);
  return runStudyCommand({
    title: `coverage, scale ${recipe.scale}, seeds ${recipe.seeds.join(', ')}`,
    command: commandOf(flags, (path) => path),
    json: flags.json ?? false,
    run: (hooks) =>
      coverage({
        recipe,
        folder: output,
        ...(only === undefined ? {} : { only }),
        resume,
        threads,
        command: commandOf(flags, (path) => basename(path)), // reports are passed on, paths are not
        ...hooks,
      }),
  });
};

export const coverageCommand = new Command('coverage')
  .description('Song et al. 2024 (arXiv 2406.01462): what HyPO and online data buy')
  .option('--scale <name>', Object.keys(recipes).join(', '), 'quick')
  .option('--output <folder>', 'results, report', 'coverage')
  .option('--only <ids>', `of ${experimentIds.join(', ')} (default: all of the scale)`, idsOf)
  .option('--resume', 'go on with the study that the folder holds')
  .option('--seeds <n>', seedsHelp, seedChoice)
  .option('--model <folder>', 'a checkpoint of your own, with --preferences and --prompts')
  .option('--preferences <file>', 'pairs of your own: prompt, chosen, rejected')
  .option('--prompts <file>', 'prompts held out from them')
  .option('--threads <n>', 'of the engine; does not change results', number, 1)
  .option('--json', 'print the signatures as one JSON array')
  .action(runCommand);
