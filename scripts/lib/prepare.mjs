// Makes a fresh clone ready: npm packages, then compiler and cmake, each only when missing or stale.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Failure, output, root, run } from './run.mjs';

const minimumCmake = [3, 22];

export const hash = (data) => createHash('sha256').update(data).digest('hex');

export function ensurePackages() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 17)) {
    throw new Failure(`Node 20.17 or later is needed; this is ${process.version}.`);
  }
  const wanted = hash(readFileSync(path.join(root, 'package-lock.json')));
  const stamp = path.join(root, 'node_modules', '.alignlab-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.log('Installing the packages of package-lock.json …');
  // No package that we use needs its install script.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
  writeFileSync(stamp, wanted);
}

/** The names of what is missing, as apt-get knows them. node-gyp asks for make and python3 too. */
function missingTools(alsoForNodeGyp) {
  const missing = alsoForNodeGyp
    ? ['make', 'python3'].filter((program) => !output(program, ['--version']))
    : [];
  if (!output(process.env.CXX ?? 'c++', ['--version']) && !output('g++', ['--version'])) {
    missing.push('g++');
  }
  const version = /version (\d+)\.(\d+)/.exec(output('cmake', ['--version']) ?? '');
  const [major, minor] = version ? version.slice(1).map(Number) : [0, 0];
  if (major < minimumCmake[0] || (major === minimumCmake[0] && minor < minimumCmake[1])) {
    missing.push('cmake');
  }
  if (!output('ninja', ['--version']) && !output('make', ['--version'])) {
    missing.push('ninja-build');
  }
  return missing;
}

export function ensureTools({ nodeGyp = false } = {}) {
  const missing = missingTools(nodeGyp);
  if (missing.length === 0) return;
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  const command = `apt-get update && apt-get ${install.join(' ')}`;
  const isRoot = process.getuid?.() === 0;
  if (!output('apt-get', ['--version'])) {
    throw new Failure(
      `The native engine cannot be built: ${missing.join(', ')} missing. Install a C++20 compiler, ` +
        `cmake ${minimumCmake.join('.')} or later and ninja or make, then run the command again.`,
    );
  }
  if (!isRoot) {
    throw new Failure(
      `The native engine cannot be built: ${missing.join(', ')} missing. Run\n\n` +
        `  sudo sh -c '${command}'\n\nand then the command again.`,
    );
  }
  console.log(`Installing ${missing.join(', ')} …`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update', '-qq'], { env });
  run('apt-get', install, { env });
  const still = missingTools(nodeGyp);
  if (still.length > 0) {
    throw new Failure(`${still.join(', ')} still missing or too old after: ${command}`);
  }
}
