// npm start: installs and builds what is missing, then runs the performance-gap study at its quick
// scale. A second time it goes on, or shows what it has. Arguments go to the study.
import { spawnSync } from 'node:child_process';
import { buildNative } from './lib/native.mjs';
import { ensurePackages } from './lib/prepare.mjs';
import { main, root, typescriptFlags } from './lib/run.mjs';

await main(async () => {
  ensurePackages();
  await buildNative('addon');
  console.log(
    'When does aligning a language model need fresh samples? The study of Tang et al. 2024, on\n' +
      'models made here, takes some minutes. It can be stopped; npm start goes on.\n',
  );
  process.on('SIGINT', () => {}); // the study gets it too, and ends in order
  const study = ['study', 'performance-gap', '--scale', 'quick', '--resume'];
  const args = [...typescriptFlags, 'src/cli/main.ts', ...study, ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
});
