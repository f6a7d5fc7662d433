// alignlab study: a paper's experiments, end to end, with a report.
import { Command } from 'commander';
import { coverageCommand } from '../studies/coverage.js';
import { performanceGapCommand } from '../studies/performance-gap.js';
import { simulatorCommand } from '../studies/simulator.js';

export const studyCommand = new Command('study')
  .helpGroup('Studies:')
  .description("run a paper's experiments, from the data to a report")
  .addCommand(performanceGapCommand)
  .addCommand(coverageCommand)
  .addCommand(simulatorCommand);
