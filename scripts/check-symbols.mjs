// What the built addon asks of a machine: symbol versions no newer than Ubuntu 22.04 and Debian 12
// have, and no library that a slim image lacks (OpenMP's, for one). That kernel objects share no
// symbols is a native test (kernel_symbols).
// usage: check-symbols.mjs [ADDON …]   (default: build/Release and prebuilds)
import { existsSync } from 'node:fs';
import path from 'node:path';
import { filesBelow } from './lib/native.mjs';
import { Failure, main, output, root } from './lib/run.mjs';

const newest = { GLIBC: [2, 34], GLIBCXX: [3, 4, 30], CXXABI: [1, 3, 13] };
const allowedLibraries = /^(libstdc\+\+|libm|libgcc_s|libc|libpthread|libdl|ld-linux-x86-64)\.so/;

const inspect = (program, args) => {
  const text = output(program, args);
  if (text === undefined) throw new Failure(`${program} ${args.join(' ')} failed`);
  return text;
};

function isNewer(version, limit) {
  for (let i = 0; i < Math.max(version.length, limit.length); i += 1) {
    const difference = (version[i] ?? 0) - (limit[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

function addonProblems(addon) {
  const problems = [];
  const versions = inspect('objdump', ['-T', addon]).matchAll(/\b([A-Z]+)_([\d.]+)\b/g);
  for (const [name, family, version] of versions) {
    const limit = newest[family];
    if (limit && isNewer(version.split('.').map(Number), limit)) problems.push(`needs ${name}`);
  }
  const needed = inspect('readelf', ['-d', addon]).matchAll(/\(NEEDED\).*\[(.+)\]/g);
  for (const [, library] of needed) {
    if (!allowedLibraries.test(library)) problems.push(`needs ${library}`);
  }
  return [...new Set(problems)].map((problem) => `${path.relative(root, addon)} ${problem}`);
}

await main(() => {
  const below = (folder) => (existsSync(path.join(root, folder)) ? filesBelow(folder) : []);
  const named = process.argv.slice(2);
  const built = [...below('build/Release'), ...below('prebuilds')]
    .filter((file) => file.endsWith('.node'))
    .map((file) => path.join(root, file));
  const addons = named.length > 0 ? named : built;
  if (addons.length === 0) throw new Failure('No addon is built: npm run build:native');
  const problems = addons.flatMap(addonProblems);
  if (problems.length > 0) throw new Failure(problems.join('\n'));
  console.log(`${addons.map((addon) => path.relative(root, addon)).join(', ')}: fine`);
});
