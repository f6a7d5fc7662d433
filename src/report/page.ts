// report.html: one file that opens offline, with nothing fetched and no script.
import { escapeHtml as text } from './html.js';
import { formatNumber } from './numbers.js';
import { styleSheet } from './page-style.js';
import {
  type Report,
  type ReportFigure,
  type Sample,
  type Signature,
  type Verdict,
  checkReport,
  measuredText,
  verdictCounts,
  verdictMark,
} from './report.js';

const classOf: Readonly<Record<Verdict, string>> = {
  holds: 'holds',
  'does not hold': 'fails',
  undetermined: 'open',
  'not tested': 'open',
};

const verdictHtml = (verdict: Verdict): string =>
  `<span class="verdict ${classOf[verdict]}">` +
  `<span aria-hidden="true">${verdictMark[verdict]}</span> ${verdict}</span>`;

const note = (words: string | undefined): string =>
  words === undefined ? '' : `<small class="note">${text(words)}</small>`;

const signatureRow = (signature: Signature): string => {
  const { id, expected, source, verdict } = signature;
  return `<tr id="${text(id)}"><th scope="row">${text(id)}</th>
<td data-label="Expected">${text(expected)}${note(source)}</td>
<td data-label="Measured">${text(measuredText(signature))}${note(signature.note)}</td>
<td data-label="Verdict">${verdictHtml(verdict)}</td></tr>`;
};

const signatureTable = (signatures: readonly Signature[]): string =>
  signatures.length === 0
    ? '<p class="soft">This report looks for no signature.</p>'
    : `<div class="wide"><table class="signatures"><caption>${verdictCounts(signatures)}.</caption>
<thead><tr><th scope="col">Id</th><th scope="col">Expected</th><th scope="col">Measured</th>
<th scope="col">Verdict</th></tr></thead>
<tbody>${signatures.map(signatureRow).join('\n')}</tbody></table></div>`;

const figureVerdict = (signature: Signature): string =>
  `<li>${verdictHtml(signature.verdict)} · <a href="#${text(signature.id)}">${text(signature.id)}</a> ` +
  `${text(measuredText(signature))}</li>`;

const figureHtml = (figure: ReportFigure, signatures: readonly Signature[]): string => {
  const shown = signatures.filter(({ id }) => figure.signatures?.includes(id));
  const claim =
    figure.claim === undefined
      ? ''
      : `<p class="claim"><strong>In the paper:</strong> ${text(figure.claim)}</p>`;
  const list =
    shown.length === 0
      ? ''
      : `<ul class="verdicts" aria-label="Verdicts">${shown.map(figureVerdict).join('')}</ul>`;
  return `<section id="${figure.name}"><h3>${text(figure.title)}</h3>${claim}
<figure><div class="drawing" tabindex="0">${figure.svg}</div>
<figcaption>${text(figure.caption)}</figcaption></figure>${list}</section>`;
};

const sampleHtml = ({ prompt, responses }: Sample): string =>
  `<div class="prompt"><strong>Prompt</strong><p class="text">${text(prompt)}</p></div>
<div class="samples">${responses
    .map(
      ({ label, text: words }) =>
        `<div><strong>${text(label)}</strong><p class="text">${text(words)}</p></div>`,
    )
    .join('')}</div>`;

const settingRow = ([name, value]: readonly [string, string | number | boolean]): string =>
  `<tr><th scope="row">${text(name)}</th>` +
  `<td>${text(typeof value === 'number' ? formatNumber(value) : String(value))}</td></tr>`;

const section = (title: string, content: string): string =>
  content === '' ? '' : `<h2>${text(title)}</h2>\n${content}\n`;

/** The whole page. Everything but the figures' own SVG is escaped. Throws as `checkReport` does. */
export const reportPage = (report: Report): string => {
  checkReport(report);
  const { title, question, summary = [], signatures, figures, samples = [], files = [] } = report;
  const settings = Object.entries(report.settings);
  const links = files.map(
    ({ label, path }) => `<li><a href="${text(encodeURI(path))}">${text(label)}</a></li>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title><style>${styleSheet}</style></head>
<body><main><h1>${text(title)}</h1>
<p class="question">${text(question)}</p>
${summary.map((paragraph) => `<p>${text(paragraph)}</p>`).join('\n')}
${section('Expected and measured', signatureTable(signatures))}
${section('Figures', figures.map((figure) => figureHtml(figure, signatures)).join('\n'))}
${section('Samples', samples.map(sampleHtml).join('\n'))}
${section(
  'Settings',
  settings.length === 0
    ? ''
    : `<table class="settings"><caption>What the study was run with.</caption>
<tbody>${settings.map(settingRow).join('\n')}</tbody></table>`,
)}
${section('How to reproduce', `<pre>${report.reproduce.map(text).join('\n')}</pre>`)}
${section('Raw data', links.length === 0 ? '' : `<ul>${links.join('\n')}</ul>`)}
${section(
  'Manifest',
  `<details><summary>Versions, seeds, data and conventions, as recorded</summary>
<pre>${text(JSON.stringify(report.manifest, null, 2))}</pre></details>`,
)}
</main></body></html>
`;
};
