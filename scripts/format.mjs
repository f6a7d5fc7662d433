// npm run format: rewrites what prettier and clang-format would complain about. Files may be named.
import { filesBelow } from './lib/native.mjs';
import { ensurePackages } from './lib/prepare.mjs';
import { main, run, tool } from './lib/run.mjs';

await main(() => {
  ensurePackages();
  const isCpp = (file) => /\.(h|cc|cu)$/.test(file);
  const named = process.argv.slice(2);
  const cpp = (named.length > 0 ? named : filesBelow('native')).filter(isCpp);
  const others = named.length > 0 ? named.filter((file) => !isCpp(file)) : ['.'];
  if (others.length > 0) run(tool('prettier'), ['--write', '--log-level', 'warn', ...others]);
  if (cpp.length > 0) run(tool('clang-format'), ['-i', ...cpp]);
});
