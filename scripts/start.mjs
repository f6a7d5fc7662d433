// npm start: installs and builds what is missing, then shows the engine at work.
import { buildNative } from './lib/native.mjs';
import { ensurePackages } from './lib/prepare.mjs';
import { main, run, typescriptFlags } from './lib/run.mjs';

await main(async () => {
  ensurePackages();
  await buildNative('addon');
  const args = process.argv.slice(2);
  run(process.execPath, [...typescriptFlags, 'src/cli/main.ts', 'demo', ...args]);
});
