// The training commands with their action.
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { type TrainingCommand, trainingCommands } from '../config/commands.js';
import { readYamlLayer } from '../config/layers.js';
import { type ResolvedConfig, resolveConfig } from '../config/resolve.js';
import { print } from '../output.js';
import { dryRun } from './dry-run.js';
import { describeCommand, readFlags } from './flags.js';
import { recordedConfig, runTraining } from './run.js';

const act = async (training: TrainingCommand, command: Command): Promise<void> => {
  const { config: path, layer, dryRun: dry, printConfig } = readFlags(command);
  const yaml = path === undefined ? [] : [await readYamlLayer(path)];
  const config: ResolvedConfig = resolveConfig(training, [...yaml, layer]);
  if (printConfig) print(stringify(recordedConfig(config)).trimEnd());
  else if (dry) await dryRun(config);
  else await runTraining(config);
};

/** One for each training command. */
export const trainingPrograms = (): Command[] =>
  trainingCommands.map((training) => {
    const command = describeCommand(training);
    return command.action(() => act(training, command));
  });
