// A figure on the page: beside its claim and its verdicts, with its data and links to them.
import type { FigureData } from './figure.js';
import { escapeHtml as text } from './html.js';
import { verdictHtml } from './page-verdict.js';
import { type ReportFigure, type Signature, measuredText } from './report.js';

/** Where the figure's files are, from the page. */
export const figurePath = (name: string, ending: string): string => `figures/${name}.${ending}`;

/** JSON inside a script element, which must not hold '</script' or '<!--'. */
const embedded = (data: FigureData): string =>
  `<script type="application/json">${JSON.stringify(data).replaceAll('<', '\\u003c')}</script>`;

/** Both forms of a drawing; the style sheet shows one of them. */
export const drawingsHtml = (wide: string, narrow: string | undefined): string =>
  narrow === undefined
    ? wide
    : `<div class="for-wide">${wide}</div><div class="for-narrow">${narrow}</div>`;

/** The script saves what the page holds; without it the links lead to the files beside the page. */
const linksHtml = ({ name, data }: ReportFigure): string => {
  const link = (format: string): string =>
    `<a href="${figurePath(name, format)}" download data-save="${format}">${format.toUpperCase()}</a>`;
  const formats = ['svg', ...(data ? ['csv', 'json'] : [])].map(link);
  return (
    `<p class="links">Save: <button type="button" data-save="png" hidden>PNG</button> ` +
    `${formats.join(' ')}</p>`
  );
};

const verdictItem = (signature: Signature): string =>
  `<li>${verdictHtml(signature)} · <a href="#${text(signature.id)}">${text(signature.id)}</a> ` +
  `${text(measuredText(signature))}<small class="note">${text(signature.expected)}</small></li>`;

export const figureHtml = (figure: ReportFigure, signatures: readonly Signature[]): string => {
  const { name, title, caption, claim, data } = figure;
  const shown = signatures.filter(({ id }) => figure.signatures?.includes(id));
  const said =
    claim === undefined ? '' : `<p class="claim"><strong>In the paper:</strong> ${text(claim)}</p>`;
  const below = caption === '' ? '' : `<p class="caption">${text(caption)}</p>`;
  const list =
    shown.length === 0
      ? ''
      : `<ul class="verdicts" aria-label="Verdicts">${shown.map(verdictItem).join('')}</ul>`;
  return `<section id="${name}" class="shown"><h3>${text(title)}</h3>
<figure data-name="${name}"><div class="drawing" tabindex="0" role="group" aria-label="${text(title)}">
${drawingsHtml(figure.svg, figure.narrow)}</div>${data ? embedded(data) : ''}</figure>
<div class="beside">${said}${below}${list}${linksHtml(figure)}</div></section>`;
};
