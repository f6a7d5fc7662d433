// npm start: installs and builds what is missing, then shows the engine at work.
import { spawnSync } from 'node:child_process';
import { buildNative } from './lib/native.mjs';
import { ensurePackages } from './lib/prepare.mjs';
import { main, root, typescriptFlags } from './lib/run.mjs';

await main(async () => {
  ensurePackages();
  await buildNative('addon');
  const args = process.argv.slice(2);
  const demo = [...typescriptFlags, 'src/cli/main.ts', 'demo', ...args];
  const { status } = spawnSync(process.execPath, demo, { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
});
