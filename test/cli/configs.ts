// Resolving configurations in tests.
import { type TrainingCommand, trainingCommands } from '../../src/cli/config/commands.js';
import type { Layer } from '../../src/cli/config/layers.js';
import { type ResolvedConfig, resolveConfig } from '../../src/cli/config/resolve.js';

export const commandOf = (name: string): TrainingCommand =>
  trainingCommands.find((command) => command.name === name)!;

export const flags = (values: Layer['values']): Layer => ({ from: 'flags', values });
export const yaml = (values: Layer['values']): Layer => ({ from: 'run.yaml', values });

export const resolve = (command: string, ...layers: readonly Layer[]): ResolvedConfig =>
  resolveConfig(commandOf(command), layers);

export const refusal = (command: string, ...layers: readonly Layer[]): string => {
  try {
    resolve(command, ...layers);
    return 'accepted';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};
