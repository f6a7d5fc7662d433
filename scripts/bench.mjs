// npm run bench: the engine beside its peer (bench/main.ts says the options).
// npm run bench -- native: the native benches, beside oneDNN where libdnnl-dev is installed.
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { buildNative } from './lib/native.mjs';
import { ensurePackages } from './lib/prepare.mjs';
import { main, root, run, tool } from './lib/run.mjs';

async function nativeBenches(args) {
  const folder = await buildNative('bench');
  const names = readdirSync(path.join(root, 'native/bench')).filter((file) => file.endsWith('.cc'));
  // As many threads for oneDNN as for ours (matmul_bench's default is 2); they would spin on the
  // cores while ours are timed, and the other way round.
  const threads = args.includes('--threads') ? args[args.indexOf('--threads') + 1] : '2';
  const env = { OMP_WAIT_POLICY: 'passive', OMP_NUM_THREADS: threads };
  for (const name of names) run(path.join(folder, path.basename(name, '.cc')), args, { env });
}

// Compiled first: with ts-node the peak memory of a measurement would hold the compiler as well.
async function engineBench(args) {
  const asksForHelp = args.some((arg) => arg === '--help' || arg === '-h');
  if (!asksForHelp) await buildNative('addon');
  const folder = path.join(root, 'build/bench');
  mkdirSync(folder, { recursive: true });
  copyFileSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  const compiler = 'bench/compiled_peer.py';
  mkdirSync(path.join(folder, 'bench'), { recursive: true });
  copyFileSync(path.join(root, compiler), path.join(folder, compiler));
  const files = ['bench/main.ts', 'bench/worker.ts', 'src/ambient.d.ts'];
  const options = '--noCheck --noEmit false --declaration false --ignoreConfig'.split(' ');
  run(tool('tsc'), [
    ...options,
    ...'--target es2022 --module nodenext --rootDir . --types node'.split(' '),
    ...['--outDir', folder, ...files],
  ]);
  run(process.execPath, [path.join(folder, 'bench/main.js'), ...args], {
    env: { ALIGNLAB_PREBUILD: root },
  });
}

await main(async () => {
  ensurePackages();
  const args = process.argv.slice(2);
  await (args[0] === 'native' ? nativeBenches(args.slice(1)) : engineBench(args));
});
