// npm run lint: every check of form, all of them even when one fails, and a closing line.
import { filesBelow } from './lib/native.mjs';
import { ensurePackages } from './lib/prepare.mjs';
import { main, run, tool } from './lib/run.mjs';

const cpp = filesBelow('native').filter((file) => /\.(h|cc|cu)$/.test(file));

const checks = {
  types: () => run(tool('tsc'), ['--noEmit']),
  eslint: () => run(tool('eslint'), ['.', '--max-warnings', '0']),
  includes: () => run(process.execPath, ['scripts/check-includes.mjs']),
  prettier: () => run(tool('prettier'), ['--check', '--log-level', 'warn', '.']),
  'clang-format': () => run(tool('clang-format'), ['--dry-run', '-Werror', ...cpp]),
  knip: () => run(tool('knip'), []),
};

await main(() => {
  ensurePackages();
  const wanted = process.argv.slice(2);
  let failed = 0;
  const chosen = Object.entries(checks).filter(([name]) => !wanted[0] || wanted.includes(name));
  for (const [name, check] of chosen) {
    try {
      check();
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${name}: ${error.message.slice(0, 200)}`);
    }
  }
  console.log(`\n${chosen.length - failed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
});
