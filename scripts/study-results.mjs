// Copies what a repository can hold of a study: node scripts/study-results.mjs FOLDER TARGET [FIGURE...]
// The result without keys and outcomes by prompt, numbers to four digits, and the named figures. The
// page TARGET.md gets its tables, where it has places for them, and is told what it still waits for.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import * as prettier from 'prettier';
import { fillTables } from './lib/study-tables.mjs';

const [folder, target, ...figures] = process.argv.slice(2);
if (!folder || !target) {
  console.error('Usage: node scripts/study-results.mjs FOLDER TARGET [FIGURE...]');
  process.exit(2);
}
const left = new Set(['outcomes', 'key', 'files']); // files: paths of the machine
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
  const from = path.join(folder, 'figures', `${name}.svg`);
  if (existsSync(from)) copyFileSync(from, path.join(target, `${name}.svg`));
  else console.log(`The study has no figure ${name}.`);
}

const page = `${path.resolve(target)}.md`;
if (existsSync(page)) {
  const options = { ...(await prettier.resolveConfig(page)), filepath: page };
  const text = await prettier.format(fillTables(readFileSync(page, 'utf8'), result), options);
  writeFileSync(page, text);
  const open = text.split('\n').flatMap((line, i) => (line.includes('TODO') ? [i + 1] : []));
  if (open.length > 0) console.log(`${page} waits for numbers in lines ${open.join(', ')}.`);
}
