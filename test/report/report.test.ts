// The page and its Markdown: everything said, everything escaped, nothing fetched.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Script } from 'node:vm';
import test from 'ava';
import { AlignlabError } from '../../src/errors.js';
import { renderChart } from '../../src/report/charts.js';
import { ownFigure, standalone } from '../../src/report/drawing.js';
import { reportMarkdown } from '../../src/report/markdown.js';
import { reportPage } from '../../src/report/page.js';
import { pageScript } from '../../src/report/page-script.js';
import type { Report, ReportFigure, Signature } from '../../src/report/report.js';
import { readStoredReport } from '../../src/report/stored.js';
import { writeReport } from '../../src/report/write.js';

const evil = `<img src=x onerror="alert('1')"> & | \`code\``;

const figure = async (): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name: 'fig-12',
    value: { title: 'Best win rate' },
    bars: [{ category: evil, value: 0.2 }],
  })),
  title: 'More on-policy data',
  caption: `Bars. ${evil}`,
  claim: 'One side from the start policy is what helps.',
  signatures: ['S1.14'],
});

const signatures: readonly Signature[] = [
  {
    id: 'S1.14',
    expected: 'D_sft-vs-800 is at least D_800-vs-4k',
    quantity: 'difference of peaks',
    measured: 0.123456,
    interval: [0.08, 0.16],
    verdict: 'holds',
  },
  { id: 'S1.15', expected: evil, measured: -2, unit: 'nats', verdict: 'does not hold' },
  { id: 'S1.16', expected: 'a larger proxy helps', verdict: 'not tested', note: 'one size only' },
];

const report = async (more: Partial<Report> = {}): Promise<Report> => ({
  title: `Gap ${evil}`,
  question: 'Why?',
  summary: [evil],
  signatures,
  figures: [await figure()],
  samples: [{ prompt: evil, responses: [{ label: 'online', text: evil }] }],
  settings: { scale: 'ci', beta: 0.1, note: evil },
  manifest: { run: { note: '</pre><script>' } },
  reproduce: ['npx alignlab study performance-gap --scale ci', evil],
  files: [{ label: 'results', path: 'raw/results 1.json' }],
  ...more,
});

const folder = async (t: { teardown(clean: () => Promise<void>): void }): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'alignlab-report-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
};

/** The page without its one script that acts. */
const withoutScript = (page: string): string => {
  const parts = page.split(`<script>${pageScript}</script>`);
  if (parts.length !== 2) throw new Error(`${parts.length - 1} scripts`);
  return parts.join('');
};

test('the page says all that the report holds, escaped', async (t) => {
  const page = withoutScript(reportPage(await report()));
  t.notRegex(page, /<img|<script(?! type="application\/json">\{)/);
  t.is(
    page.split('&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp;').length - 1 >= 8,
    true,
  );
  t.true(page.includes('difference of peaks: 0.123 (95% interval 0.08 to 0.16)'));
  t.true(page.includes('-2 nats (no interval)'));
  t.true(page.includes('1 of 3 hold, 1 do not, 1 not tested.'));
  t.is(page.split('</span> does not hold</span>').length - 1, 1);
  t.is(page.split('href="#S1.14"').length - 1, 1); // the figure leads to its signature
  t.true(page.includes('href="raw/results%201.json"'));
  t.true(page.includes('&lt;/pre&gt;&lt;script&gt;'));
});

test('the page stands alone and is marked up for all readers', async (t) => {
  const page = reportPage(await report());
  const outside = page
    .replaceAll('http://www.w3.org/2000/svg', '')
    .replaceAll('http://www.w3.org/1999/xlink', '');
  t.notRegex(outside, /https?:|@import|url\(|<link|src="/);
  t.regex(page, /^<!doctype html>\n<html lang="en"><head><meta charset="utf-8">/);
  t.regex(page, /<svg [^>]*role="img" aria-label="[^"]+"/);
  t.regex(page, /<th scope="col">Measured<\/th>/);
  t.regex(page, /<th scope="row">S1\.14<\/th>/);
  t.regex(page, /prefers-color-scheme:dark/);
  t.regex(page, /@media print/);
});

test('a report of nothing but a question is whole', async (t) => {
  const bare = await report({
    summary: [],
    signatures: [],
    figures: [],
    samples: [],
    settings: {},
    files: [],
  });
  t.notRegex(withoutScript(reportPage(bare)), /<table|undefined|<h2>Figures|<h2>Samples/);
  t.notRegex(reportMarkdown(bare), /undefined|## Figures|\| id/);
});

test('an open verdict says on which side its value lies', async (t) => {
  const open = (id: string, met: boolean): Signature => ({
    id,
    expected: 'more',
    measured: 1,
    interval: [-1, 3],
    verdict: 'undetermined',
    met,
  });
  const settled: Signature = { ...open('S3', true), verdict: 'holds' };
  const own = await report({
    signatures: [open('S1', true), open('S2', false), settled],
    figures: [{ ...(await figure()), signatures: ['S2'] }],
  });
  const counts = '1 of 3 hold, 0 do not, 2 undetermined (1 with a value as expected), 0 not tested';
  for (const text of [reportPage(own), reportMarkdown(own)]) t.true(text.includes(counts));
  const page = reportPage(own);
  t.is(page.split('(the value is as expected)').length - 1, 1);
  t.is(
    page.split('(the value is not as expected)').length - 1,
    2,
    'in the table and by the figure',
  );
  t.true(reportMarkdown(own).includes('| ? undetermined (the value is as expected) |'));
});

test('Markdown keeps one row a signature and lets no text out of its place', async (t) => {
  const markdown = reportMarkdown(await report());
  const rows = markdown.split('\n').filter((line) => line.startsWith('| '));
  t.is(rows.length, 5);
  for (const line of rows) t.is(line.replaceAll('\\|', '').split('|').length, 6, line);
  t.notRegex(markdown.split('## How to reproduce')[0]!, /(?<!\\)<img/);
  t.true(markdown.includes('| S1.14 | D\\_sft-vs-800'));
  t.true(markdown.includes('`figures/fig-12.svg`'));
});

test('a report that contradicts itself is refused', async (t) => {
  const one = signatures[0]!;
  const { measured: _, interval: __, ...bare } = one;
  const wrong: readonly (readonly [Partial<Report>, string])[] = [
    [{ signatures: [bare] }, 'OPTION_INVALID'],
    [{ signatures: [{ ...one, verdict: 'not tested' }] }, 'OPTION_INVALID'],
    [{ signatures: [one, one] }, 'OPTION_INVALID'],
    [{ signatures: [{ ...one, measured: NaN }] }, 'NON_FINITE'],
    [{ signatures: [{ ...one, interval: [0, Infinity] }] }, 'NON_FINITE'],
    [{ signatures: [] }, 'OPTION_INVALID'], // the figure shows S1.14
    [{ figures: [{ ...(await figure()), name: '../up' }] }, 'OPTION_INVALID'],
    ...['/etc/passwd', '../up.json', 'javascript:alert(1)', 'https://a.example'].map(
      (path) => [{ files: [{ label: 'x', path }] }, 'OPTION_INVALID'] as const,
    ),
  ];
  const drawings = [
    '<b>',
    '<svg ><script></svg>',
    '<svg onload="x"></svg>',
    '<svg ><use href="#a"/></svg>',
  ];
  for (const svg of drawings) {
    const figures = [{ ...(await figure()), svg }];
    const bad = await report({ figures });
    t.is(
      t.throws(() => reportPage(bad), { instanceOf: AlignlabError }).code,
      'OPTION_INVALID',
      svg,
    );
  }
  for (const [more, code] of wrong) {
    const bad = await report(more);
    const error = t.throws(() => reportPage(bad), { instanceOf: AlignlabError });
    t.is(error.code, code as typeof error.code, JSON.stringify(more).slice(0, 200));
    t.throws(() => reportMarkdown(bad), { instanceOf: AlignlabError });
  }
});

test('writing leaves the page, the Markdown and the figures, and replaces older ones', async (t) => {
  const path = join(await folder(t), 'new', 'study');
  await writeReport(path, await report({ title: 'Old' }));
  const written = await writeReport(path, await report());
  const names = ['figures', 'report.html', 'report.json', 'report.md'];
  t.deepEqual((await readdir(path)).sort(), names);
  const files = ['fig-12.csv', 'fig-12.json', 'fig-12.svg'];
  t.deepEqual((await readdir(join(path, 'figures'))).sort(), files);
  t.is(await readFile(written.page, 'utf8'), reportPage(await report()));
  t.is(await readFile(written.markdown, 'utf8'), reportMarkdown(await report()));
  t.is(await readFile(written.figures[0]!, 'utf8'), `${standalone((await figure()).svg)}\n`);
  const csv = await readFile(join(path, 'figures', 'fig-12.csv'), 'utf8');
  t.is(csv, `category,Best win rate\n"${evil.replaceAll('"', '""')}",0.2\n`);
});

test('a refused report leaves the folder as it was, and a file in the way is named', async (t) => {
  const path = await folder(t);
  await t.throwsAsync(async () => writeReport(join(path, 'a'), await report({ signatures: [] })));
  t.deepEqual(await readdir(path), []);
  await writeFile(join(path, 'figures'), '');
  const error = await t.throwsAsync(async () => writeReport(path, await report()), {
    instanceOf: AlignlabError,
  });
  t.is(error.code, 'IO_FAILED');
  t.true(error.message.includes(join(path, 'figures')));
});

test('the policy of the page allows its own style and script, and nothing from elsewhere', async (t) => {
  const page = reportPage(await report());
  const policy = /Content-Security-Policy" content="([^"]+)"/.exec(page)![1]!;
  t.true(policy.startsWith("default-src 'none'; img-src data:; "));
  for (const [name, source] of [
    ['style', /<style>([^]*?)<\/style>/],
    ['script', /<script>([^]*?)<\/script>/],
  ] as const) {
    const hash = createHash('sha256').update(source.exec(page)![1]!).digest('base64');
    t.true(policy.includes(`${name}-src 'sha256-${hash}'`), name);
  }
  t.notThrows(() => new Script(pageScript)); // a syntax error would show in browsers only
});

test('a stored report gives the same page, and a damaged one is refused', async (t) => {
  const path = await folder(t);
  t.is(await readStoredReport(path), null);
  const nodes = [
    { id: 'a', label: evil, column: 0, row: 0 },
    { id: 'b', label: 'B', column: 1, row: 0, kind: 'measure' as const },
  ];
  const protocol = { nodes, edges: [{ from: 'a', to: 'b', label: evil }], caption: evil };
  const full = await report({ protocol, deviations: [evil] });
  await writeReport(path, full);
  t.is(reportPage((await readStoredReport(path))!), reportPage(full));
  const text = await readFile(join(path, 'report.json'), 'utf8');
  const damaged = [
    [text.replace('"format":1', '"format":2'), 'format'],
    [text.replace('"verdict":"holds"', '"verdict":"sure"'), 'verdict'],
    [text.replace('"title"', '"titel"'), 'title'],
    [text.slice(0, -9), 'JSON'],
  ] as const;
  for (const [bad, part] of damaged) {
    await writeFile(join(path, 'report.json'), bad);
    const error = await t.throwsAsync(readStoredReport(path), { instanceOf: AlignlabError });
    t.is(error.code, 'RUN_INVALID', part);
    t.true(error.message.includes(part), error.message);
  }
});

test('figures that no chart draws are shown with their data', async (t) => {
  const drawing = { width: 90, height: 20, body: '<rect width="9" height="9" fill="#0072b2"/>' };
  const data = { columns: ['pose', 'q'], rows: [['a', 0.5] as const, ['b', null] as const] };
  const strip = ownFigure({ name: 'strip', alt: `Poses ${evil}`, ...drawing, data });
  const figures = [{ ...strip, title: 'Strip', caption: '' }];
  const path = await folder(t);
  await writeReport(path, await report({ figures }));
  t.is(await readFile(join(path, 'figures', 'strip.csv'), 'utf8'), 'pose,q\na,0.5\nb,\n');
  const error = t.throws(() => ownFigure({ name: 'strip', alt: '', ...drawing, width: NaN }), {
    instanceOf: AlignlabError,
  });
  t.is(error.code, 'OPTION_INVALID');
  for (const rows of [[['a']], [['a', Infinity]]]) {
    const bad = [{ ...figures[0]!, data: { ...data, rows } }];
    await t.throwsAsync(async () => writeReport(path, await report({ figures: bad })));
  }
});
