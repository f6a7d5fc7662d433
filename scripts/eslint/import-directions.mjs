// An eslint rule: imports between the folders of src/ point one way. Each folder names what it may
// import; a folder that is not listed may import nothing, so a new folder has to take its place here.
import path from 'node:path';

const evaluationSide = ['sources', 'objectives', 'judges', 'evaluation'];
const ground = ['checkpoint', 'text', 'data', 'engine', '.'];
const everything = [
  ...evaluationSide,
  'policies',
  ...ground,
  'training',
  'trust',
  'ablations',
  'worlds',
  'report',
];

/** Folder of src/ → folders of src/ that it may import, besides itself. '.' is src/ itself. */
const allowed = {
  '.': [], // errors.ts, native.ts: the ground; index.ts is exempt below
  checkpoint: ['.'],
  text: ['checkpoint', '.'],
  engine: ['checkpoint', 'text', '.'],
  data: ['checkpoint', 'text', 'engine', '.'],
  objectives: ['.'], // numbers in, numbers out: no engine, so their tests need no addon
  judges: ground,
  sources: ['judges', ...ground],
  policies: ground,
  evaluation: ['judges', 'policies', ...ground],
  ablations: ['sources', 'judges', ...ground],
  worlds: ['judges', ...ground],
  training: [...evaluationSide, ...ground],
  trust: ['training', ...evaluationSide, ...ground],
  control: [...everything],
  report: ['evaluation', ...ground],
  studies: [...everything, 'control'],
  cli: [...everything, 'control', 'studies'],
};

const folderOf = (file) => {
  const parts = file.split(path.sep);
  return parts.length === 1 ? '.' : parts[0];
};

export const importDirections = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      direction:
        'src/{{from}} must not import src/{{to}} (see scripts/eslint/import-directions.mjs).',
      outside: 'src/ must not import {{target}}: bench and test import src, never the other way.',
      unknown: 'src/{{from}} has no place in scripts/eslint/import-directions.mjs yet.',
    },
  },
  create(context) {
    const source = path.join(context.cwd, 'src');
    const own = path.relative(source, context.filename);
    if (own.startsWith('..') || own === 'index.ts') return {};
    const from = folderOf(own);
    const check = (node) => {
      if (node.source?.type !== 'Literal' || !String(node.source.value).startsWith('.')) return;
      const target = path.resolve(path.dirname(context.filename), node.source.value);
      const relative = path.relative(source, target);
      const report = (messageId, data) => context.report({ node: node.source, messageId, data });
      if (relative.startsWith('..')) {
        report('outside', { target: path.relative(context.cwd, target) });
      } else if (!(from in allowed)) {
        report('unknown', { from });
      } else {
        const to = folderOf(relative);
        if (to !== from && !allowed[from].includes(to)) report('direction', { from, to });
      }
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    };
  },
};
