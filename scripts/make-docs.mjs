// Writes docs/objectives.md from the list of objectives; --print shows it instead.
// node --import ./scripts/register-ts.mjs scripts/make-docs.mjs
import { mkdir, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import { objectives } from '../src/objectives/index.ts';
import { describeOption } from '../src/objectives/options.ts';

const file = 'docs/objectives.md';

const cell = (text) => text.replaceAll('|', '\\|');

const optionText = ([name, spec]) => `\`${name}\` = ${JSON.stringify(spec.default)}`;

const row = ({ name, title, paper, source, options }) => {
  const given = Object.entries(options).map(optionText).join(', ') || 'none';
  return `| \`${name}\` | ${cell(title)} | ${cell(paper)} | ${source} | ${cell(given)} |`;
};

const snakeCase = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const meaning = ([name, spec]) => {
  const trl = spec.trl && spec.trl !== snakeCase(name) ? ` In TRL: \`${spec.trl}\`.` : '';
  return `\`${name}\`: ${cell(spec.help)} (${describeOption(spec)}).${trl}`;
};

/** What an option means, to the objectives in which it means that. */
const meanings = () => {
  const found = new Map();
  for (const { name, options } of objectives) {
    for (const option of Object.entries(options)) {
      const text = meaning(option);
      found.set(text, [...(found.get(text) ?? []), name]);
    }
  }
  return [...found].map(([text, names]) => `- ${text} _${names.join(', ')}_`).sort();
};

const page = `# Objectives

Made from the list in \`src/objectives/index.ts\` by \`scripts/make-docs.mjs\`. On the command line an
option is a flag in kebab case, in YAML a key in snake case. An unknown option is an error.

| Objective | Name | Paper | Source | Options and defaults |
| --- | --- | --- | --- | --- |
${objectives.map(row).join('\n')}

## Options

${meanings().join('\n')}
`;

const text = await format(page, { ...(await resolveConfig(file)), parser: 'markdown' });
if (process.argv.includes('--print')) {
  process.stdout.write(text);
} else {
  await mkdir('docs', { recursive: true });
  await writeFile(file, text);
}
