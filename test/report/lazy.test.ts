// The command line starts without the libraries that draw: they are reached by dynamic imports only.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import ts from 'typescript';

/** What a file imports when it is loaded; types are no part of it. */
const importsOf = (path: string): string[] => {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2022);
  return source.statements.flatMap((statement) => {
    const named = ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement);
    if (!named || !statement.moduleSpecifier) return [];
    const typeOnly = ts.isImportDeclaration(statement)
      ? statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
      : statement.isTypeOnly;
    return typeOnly ? [] : [(statement.moduleSpecifier as ts.StringLiteral).text];
  });
};

const reached = (entry: string): { files: Set<string>; packages: Set<string> } => {
  const [files, packages] = [new Set<string>(), new Set<string>()];
  const visit = (path: string): void => {
    if (files.has(path)) return;
    files.add(path);
    for (const name of importsOf(path)) {
      if (name.startsWith('.')) visit(join(dirname(path), name.replace(/\.js$/, '.ts')));
      else packages.add(name);
    }
  };
  visit(entry);
  return { files, packages };
};

test('loading the command line, or the library, loads no vega', (t) => {
  for (const entry of ['src/cli/main.ts', 'src/index.ts']) {
    const { files, packages } = reached(entry);
    t.true(files.size > 50, entry); // the walk has gone into the tree
    t.deepEqual(
      [...packages].filter((name) => name.startsWith('vega') || name.startsWith('@resvg')),
      [],
    );
  }
});
