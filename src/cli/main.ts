#!/usr/bin/env node
// The command line: one file per command in commands/; the training commands come from the list of
// objectives.
import { Command } from 'commander';
import { packageVersion } from '../version.js';
import { chatCommand } from './commands/chat.js';
import { compareCommand } from './commands/compare.js';
import { evalCommand } from './commands/eval.js';
import { generateCommand } from './commands/generate.js';
import { inspectCommand } from './commands/inspect.js';
import { reportCommand } from './commands/report.js';
import { scoreCommand } from './commands/score.js';
import { studyCommand } from './commands/study.js';
import { verifyCommand } from './commands/verify.js';
import { printError } from './output.js';
import { trainingPrograms } from './training/command.js';

const program = new Command('alignlab')
  .description(
    'Aligns language models: training, samples, exact log-probabilities and gradients in Node.js',
  )
  .version(packageVersion)
  .showSuggestionAfterError()
  .showHelpAfterError('(--help lists what there is)')
  .addCommand(inspectCommand)
  .addCommand(generateCommand)
  .addCommand(chatCommand)
  .addCommand(evalCommand)
  .addCommand(compareCommand)
  .addCommand(scoreCommand)
  .addCommand(verifyCommand)
  .addCommand(studyCommand)
  .addCommand(reportCommand);
for (const command of trainingPrograms()) program.addCommand(command);

// A reader that has seen enough (`| head`) ends the command quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  printError(error);
  process.exitCode = 1;
}
