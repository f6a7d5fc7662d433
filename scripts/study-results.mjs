// Copies what a repository can hold of a study: node scripts/study-results.mjs FOLDER TARGET [FIGURE...]
// The result without keys and outcomes by prompt, numbers to four digits, and the named figures.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const [folder, target, ...figures] = process.argv.slice(2);
if (!folder || !target) {
  console.error('Usage: node scripts/study-results.mjs FOLDER TARGET [FIGURE...]');
  process.exit(2);
}
const left = new Set(['outcomes', 'key']);
const shorten = (name, value) => {
  if (left.has(name)) return undefined;
  return typeof value === 'number' && !Number.isInteger(value)
    ? Number(value.toPrecision(4))
    : value;
};
const result = JSON.parse(readFileSync(path.join(folder, 'result.json'), 'utf8'));
mkdirSync(target, { recursive: true });
writeFileSync(path.join(target, 'result.json'), `${JSON.stringify(result, shorten)}\n`);
for (const name of figures) {
  copyFileSync(path.join(folder, 'figures', `${name}.svg`), path.join(target, `${name}.svg`));
}
