// npm run build: the addon and dist/.  npm run build:native: the addon alone
// npm run build:cuda: the library for GPUs, where nvcc is; the five architectures take minutes.
// (build.mjs native [tests|bench|cuda] [--asan] for the others; build.mjs tools only installs).
import { chmodSync, rmSync } from 'node:fs';
import path from 'node:path';
import { buildNative } from './lib/native.mjs';
import { ensurePackages, ensureTools } from './lib/prepare.mjs';
import { main, root, run, tool } from './lib/run.mjs';

await main(async () => {
  const args = process.argv.slice(2);
  const asan = args.includes('--asan');
  const goal = ['tests', 'bench', 'cuda'].find((name) => args.includes(name)) ?? 'addon';
  ensurePackages();
  if (args[0] === 'tools') {
    ensureTools();
    return;
  }
  await buildNative(goal, { asan });
  if (args[0] === 'native') return;
  rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  run(tool('tsc'), ['-p', 'tsconfig.build.json']);
  chmodSync(path.join(root, 'dist/cli/main.js'), 0o755);
});
