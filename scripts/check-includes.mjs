// The folders of native/ include one another in one direction only:
// bindings → decode, optimizer, control → model → backend ← cpu, cuda. Part of `npm run lint`.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { filesBelow } from './lib/native.mjs';
import { root } from './lib/run.mjs';

/** Folder of native/ → folders of native/ that it may include, besides itself. '.' is native/ itself. */
const allowed = {
  '.': [],
  backend: ['.'],
  reference: ['backend', '.'],
  cpu: ['backend', '.'],
  cuda: ['backend', '.'],
  model: ['backend', '.'],
  optimizer: ['model', 'backend', '.'],
  decode: ['model', 'backend', '.'],
  control: ['backend', '.'],
  // The bindings create the backend, which is why they may see cpu/ (but not its kernels).
  bindings: ['control', 'decode', 'optimizer', 'model', 'backend', 'cpu', '.'],
};
const mayIncludeAll = ['test', 'bench'];
const folderOf = (file) => (file.includes('/') ? file.split('/')[0] : '.');

const problems = [];
const native = path.join(root, 'native');
const sources = filesBelow('native').filter((file) => /\.(h|cc|cu)$/.test(file));
for (const file of sources.map((name) => name.slice('native/'.length))) {
  const from = folderOf(file);
  if (mayIncludeAll.includes(from)) continue;
  if (!(from in allowed)) {
    problems.push(`native/${file}: native/${from} has no place in scripts/check-includes.mjs yet`);
    continue;
  }
  const text = readFileSync(path.join(native, file), 'utf8');
  for (const [, included] of text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)) {
    const local = path.posix.join(path.posix.dirname(file), included);
    const target = [included, local].find((name) => existsSync(path.join(native, name)));
    if (target === undefined) {
      problems.push(`native/${file}: "${included}" does not exist in native/`);
      continue;
    }
    const to = folderOf(target);
    if (to !== from && !allowed[from].includes(to)) {
      problems.push(`native/${file}: native/${from} must not include native/${to} ("${included}")`);
    } else if (target.startsWith('cpu/kernels/') && from !== 'cpu') {
      problems.push(
        `native/${file}: kernels are compiled per instruction set, only cpu/ sees them`,
      );
    }
  }
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
