// docs/bug-classes.md names all forty classes, and tests that exist.
import { readFile } from 'node:fs/promises';
import test from 'ava';
import ts from 'typescript';

/** Titles of a test file; what is filled in when it runs stands as “…”. */
const titlesOf = async (path: string): Promise<Set<string>> => {
  const source = ts.createSourceFile(path, await readFile(path, 'utf8'), ts.ScriptTarget.Latest);
  const titles = new Set<string>();
  const textOf = (node: ts.Expression): string | null => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
    if (!ts.isTemplateExpression(node)) return null;
    return node.head.text + node.templateSpans.map((span) => `…${span.literal.text}`).join('');
  };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const name = node.expression.getText(source);
      const title = node.arguments[0] && textOf(node.arguments[0]);
      if (/^(test|referenceTest)(\.serial)?$/.test(name) && title) titles.add(title);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return titles;
};

test('all forty classes are there, each with a test that exists', async (t) => {
  const page = await readFile('docs/bug-classes.md', 'utf8');
  const rows = page.split('\n').filter((line) => /^\| +\d+ +\|/.test(line));
  t.deepEqual(
    rows.map((row) => Number(row.split('|')[1])),
    Array.from({ length: 40 }, (_, i) => i + 1),
  );
  for (const row of rows) {
    const number = row.split('|')[1]!.trim();
    const files = [...row.matchAll(/`(test\/[^`]+)`: ((?:“[^”]+”(?:; )?)+)/g)];
    t.true(files.length > 0, `class ${number}`);
    t.is(files.length, row.match(/`test\//g)!.length, `class ${number} is well formed`);
    for (const [, path, list] of files) {
      const known = await titlesOf(path!);
      for (const [, title] of list!.matchAll(/“([^”]+)”/g)) {
        t.true(known.has(title!), `class ${number}: ${path!} has no test “${title!}”`);
      }
    }
  }
});
