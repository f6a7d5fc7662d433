// report.html: one file that opens offline and fetches nothing. What it may do is fixed by a content
// security policy with the hashes of its one style sheet and its one script.
import { createHash } from 'node:crypto';
import { protocolDiagram } from './diagram.js';
import { escapeHtml as text } from './html.js';
import { formatNumber } from './numbers.js';
import { drawingsHtml, figureHtml } from './page-figure.js';
import { pageScript } from './page-script.js';
import { styleSheet } from './page-style.js';
import { verdictHtml } from './page-verdict.js';
import {
  type Report,
  type Sample,
  type Signature,
  checkReport,
  measuredText,
  verdictCounts,
} from './report.js';

const note = (words: string | undefined): string =>
  words === undefined ? '' : `<small class="note">${text(words)}</small>`;

const signatureRow = (signature: Signature): string => {
  const { id, expected, source } = signature;
  return `<tr id="${text(id)}"><th scope="row">${text(id)}</th>
<td data-label="Expected">${text(expected)}${note(source)}</td>
<td data-label="Measured">${text(measuredText(signature))}${note(signature.note)}</td>
<td data-label="Verdict">${verdictHtml(signature)}</td></tr>`;
};

const signatureTable = (signatures: readonly Signature[]): string =>
  signatures.length === 0
    ? ''
    : `<div class="wide"><table class="signatures"><caption>${verdictCounts(signatures)}.</caption>
<thead><tr><th scope="col">Id</th><th scope="col">Expected</th><th scope="col">Measured</th>
<th scope="col">Verdict</th></tr></thead>
<tbody>${signatures.map(signatureRow).join('\n')}</tbody></table></div>`;

const sampleHtml = ({ prompt, responses }: Sample): string =>
  `<div class="prompt"><strong>Prompt</strong><p class="text">${text(prompt.trim())}</p></div>
<div class="samples">${responses
    .map(
      ({ label, text: words }) =>
        `<div><strong>${text(label)}</strong><p class="text">${text(words.trim())}</p></div>`,
    )
    .join('')}</div>`;

const settingRow = ([name, value]: readonly [string, string | number | boolean]): string =>
  `<tr><th scope="row">${text(name)}</th>` +
  `<td>${text(typeof value === 'number' ? formatNumber(value) : String(value))}</td></tr>`;

const settingTable = (settings: Report['settings']): string => {
  const rows = Object.entries(settings).map(settingRow);
  if (rows.length === 0) return '';
  return `<table class="settings"><caption>What it was run with.</caption>
<tbody>${rows.join('\n')}</tbody></table>`;
};

const listOf = (items: readonly string[]): string =>
  items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${item}</li>`).join('\n')}</ul>`;

const protocolHtml = ({ protocol }: Report): string => {
  if (!protocol) return '';
  const { wide, narrow } = protocolDiagram(protocol);
  const { caption } = protocol;
  return `<figure class="protocol">${drawingsHtml(wide, narrow)}${
    caption === undefined ? '' : `<figcaption>${text(caption)}</figcaption>`
  }</figure>`;
};

const paragraphs = ({ summary = [], signatures }: Report): string =>
  [
    ...summary.map((paragraph) => `<p>${text(paragraph)}</p>`),
    ...(signatures.length === 0
      ? []
      : [`<p><a href="#signatures">${verdictCounts(signatures)}</a>.</p>`]),
  ].join('\n');

interface Section {
  readonly id: string;
  readonly title: string;
  readonly content: string;
}

const sectionsOf = (report: Report): Section[] => {
  const { signatures, figures, samples = [], files = [], deviations = [] } = report;
  const figureParts = figures.map((figure) => figureHtml(figure, signatures));
  const links = files.map(
    ({ label, path }) => `<a href="${text(encodeURI(path))}">${text(label)}</a>`,
  );
  const sections = [
    { id: 'figures', title: 'Figures', content: figureParts.join('\n') },
    { id: 'samples', title: 'Samples', content: samples.map(sampleHtml).join('\n') },
    { id: 'signatures', title: 'Expected and measured', content: signatureTable(signatures) },
    { id: 'settings', title: 'Settings', content: settingTable(report.settings) },
    {
      id: 'deviations',
      title: 'Deviations from the paper',
      content: listOf(deviations.map((each) => text(each))),
    },
    {
      id: 'reproduce',
      title: 'How to reproduce',
      content: `<pre>${report.reproduce.map(text).join('\n')}</pre>`,
    },
    { id: 'data', title: 'Raw data', content: listOf(links) },
    {
      id: 'manifest',
      title: 'Manifest',
      content: `<details><summary>Versions, seeds, data and conventions, as recorded</summary>
<pre>${text(JSON.stringify(report.manifest, null, 2))}</pre></details>`,
    },
  ];
  return sections.filter(({ content }) => content !== '');
};

const hashOf = (content: string): string =>
  `'sha256-${createHash('sha256').update(content).digest('base64')}'`;

const policy =
  `default-src 'none'; img-src data:; style-src ${hashOf(styleSheet)}; ` +
  `script-src ${hashOf(pageScript)}`;

/** The whole page. Everything but the figures' own SVG is escaped. Throws as `checkReport` does. */
export const reportPage = (report: Report): string => {
  checkReport(report);
  const { title, question } = report;
  const sections = sectionsOf(report);
  const contents = sections.map((each) => `<a href="#${each.id}">${text(each.title)}</a>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title><style>${styleSheet}</style></head>
<body><main><h1>${text(title)}</h1>
<p class="question">${text(question)}</p>
${protocolHtml(report)}
${paragraphs(report)}
<nav aria-label="Sections">${contents.join(' ')}</nav>
${sections.map((each) => `<h2 id="${each.id}">${text(each.title)}</h2>\n${each.content}`).join('\n')}
</main><script>${pageScript}</script></body></html>
`;
};
