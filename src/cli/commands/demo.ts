// alignlab demo: the engine on something real, in a minute or two.
import { Command } from 'commander';
import { runDemo } from '../../demo/demo.js';
import { AlignlabError } from '../../errors.js';
import { note, number } from '../output.js';

interface Options {
  readonly steps: number;
  readonly seed: number;
  readonly out: string;
}

const wholeFrom = (least: number, flag: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new AlignlabError('OPTION_INVALID', `${flag} must be a whole number from ${least} up.`);
};

export const demoCommand = new Command('demo')
  .description('train a small model on fables, sample from it, and check that it is exact')
  .option('--steps <n>', 'training steps', number, 420)
  .option('--seed <n>', 'of weights, order and samples; same seed, same numbers', number, 1)
  .option('--out <folder>', 'where the checkpoint is saved', 'alignlab-demo')
  .action(async ({ out, ...options }: Options) => {
    const steps = wholeFrom(1, '--steps', options.steps);
    const seed = wholeFrom(0, '--seed', options.seed);
    const controller = new AbortController();
    const { signal } = controller;
    const stop = (): void => {
      controller.abort();
    };
    process.once('SIGINT', stop); // a second Ctrl-C ends the process at once
    try {
      const exact = await runDemo({ steps, seed, out, signal });
      if (!exact) process.exitCode = 1;
    } catch (error) {
      if (!signal.aborted) throw error;
      note('\nStopped.');
      process.exitCode = 130; // as shells report an end by SIGINT
    } finally {
      process.removeListener('SIGINT', stop);
    }
  });
