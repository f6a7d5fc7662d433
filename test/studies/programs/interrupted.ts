// A study in a process of its own, for the tests that end it: node interrupted.ts FOLDER
import { performanceGap } from '../../../src/studies/performance-gap/index.js';
import { parallel } from '../recipe.js';

await performanceGap({
  recipe: parallel,
  folder: process.argv[2]!,
  jobs: 2,
  onEvent: ({ stage, kind }) => {
    if (kind === 'progress' && stage.startsWith('offline')) process.kill(process.pid, 'SIGKILL');
  },
});
