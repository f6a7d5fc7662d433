// The package as a user gets it: packed, installed into an empty folder without install scripts and
// without a compiler in reach, then its command and a five-line script are run.
// usage: node test/package/smoke.mjs   (after npm run build and scripts/prebuild.mjs)
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Failure, main, output, root } from '../../scripts/lib/run.mjs';

const script = `
import { LanguageModel } from 'alignlab';
const model = await LanguageModel.load(process.argv[2], { device: 'cpu', dtype: 'f32' });
const { logProbs } = await model.score([{ tokens: Int32Array.of(1, 2, 3, 4, 5) }]);
console.log(JSON.stringify([...logProbs]));
await model.dispose();
`;

/** A folder that holds the few programs that npm needs: with it as PATH there is no compiler. */
function barePath(folder) {
  mkdirSync(folder);
  symlinkSync(process.execPath, path.join(folder, 'node'));
  for (const name of ['npm', 'npx', 'sh', 'env']) {
    const found = output('sh', ['-c', `command -v ${name}`])?.trim();
    if (!found) throw new Failure(`${name} is not in PATH`);
    symlinkSync(found, path.join(folder, name));
  }
  return folder;
}

await main(() => {
  const goldens = process.env.ALIGNLAB_GOLDENS ?? path.join(root, '../shared/goldens');
  const checkpoint = path.resolve(goldens, 'models/llama-tied');
  if (!existsSync(checkpoint))
    throw new Failure(`no checkpoint to try the package on: ${checkpoint}`);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'alignlab-package-'));
  try {
    const packed = output('npm', ['pack', '--silent', '--pack-destination', folder]);
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
    if (packed === undefined || !tarball) throw new Failure('npm pack failed');
    const bare = barePath(path.join(folder, 'bin'));
    const project = path.join(folder, 'project');
    mkdirSync(project);
    writeFileSync(path.join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
    writeFileSync(path.join(project, 'main.mjs'), script.trimStart());

    const environment = Object.entries(process.env).filter(
      ([name]) => !/^(npm_|PATH$|ALIGNLAB_PREBUILD$|CXX$|CC$)/.test(name),
    );
    const inside = (command, args) => {
      const { status, stdout, stderr } = spawnSync(command, args, {
        cwd: project,
        encoding: 'utf8',
        env: { ...Object.fromEntries(environment), PATH: bare },
      });
      if (status !== 0) throw new Failure(`${command} ${args.join(' ')}:\n${stdout}${stderr}`);
      return stdout;
    };
    for (const compiler of ['c++', 'g++', 'cmake', 'make', 'ninja']) {
      if (existsSync(path.join(bare, compiler))) throw new Failure(`${compiler} is in reach`);
    }
    inside('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', `../${tarball}`]);
    const installed = path.join(project, 'node_modules/alignlab');
    if (existsSync(path.join(installed, 'build'))) throw new Failure('something was compiled');

    console.log(inside('npx', ['--no-install', 'alignlab', 'inspect', checkpoint]).trim());
    const logProbs = JSON.parse(inside('node', ['main.mjs', checkpoint]));
    if (logProbs.length !== 4 || !logProbs.every((value) => value < 0 && Number.isFinite(value))) {
      throw new Failure(`four finite negative log-probabilities expected: ${logProbs.join(', ')}`);
    }
    console.log(`the installed package scores tokens: ${logProbs.join(', ')}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
