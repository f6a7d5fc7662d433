// docs/objectives.md says what the list of objectives says.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import test from 'ava';
import { objectives } from '../../src/objectives/index.js';

test('docs/objectives.md is what scripts/make-docs.mjs makes now', async (t) => {
  const program = ['--import', './scripts/register-ts.mjs', 'scripts/make-docs.mjs', '--print'];
  const { stdout } = await promisify(execFile)(process.execPath, program);
  const page = await readFile('docs/objectives.md', 'utf8');
  t.true(page === stdout, 'Run: npm run ts scripts/make-docs.mjs');
  for (const { name } of objectives) t.true(page.includes(`\`${name}\``), name);
});
