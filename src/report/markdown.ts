// The report as Markdown: for terminals, and where no browser is at hand.
import { formatNumber } from './numbers.js';
import {
  type Report,
  checkReport,
  leaningText,
  measuredText,
  verdictCounts,
  verdictMark,
} from './report.js';

/** Characters that Markdown or HTML would take as their own. */
const plain = (words: string): string =>
  words.replace(/[\\`*_[\]<>|#]/g, (character) => `\\${character}`).replace(/\s*\n\s*/g, ' ');

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const fenced = (lines: readonly string[]): string => {
  const ticks = lines.join('\n').match(/`{3,}/g) ?? [];
  const fence = '`'.repeat(ticks.reduce((most, { length }) => Math.max(most, length + 1), 3));
  return [fence, ...lines, fence].join('\n');
};

const signatureTable = ({ signatures }: Report): string =>
  [
    row(['id', 'expected', 'measured', 'verdict']),
    row(['---', '---', '---', '---']),
    ...signatures.map((signature) => {
      const { id, expected, note, verdict } = signature;
      const measured = [measuredText(signature), ...(note === undefined ? [] : [note])].join('; ');
      const leaning = leaningText(signature);
      return row([
        plain(id),
        plain(expected),
        plain(measured),
        `${verdictMark[verdict]} ${verdict}${leaning === '' ? '' : ` (${leaning})`}`,
      ]);
    }),
  ].join('\n');

/** Title, question, verdicts, captions and commands; the figures themselves are in the page. */
export const reportMarkdown = (report: Report): string => {
  checkReport(report);
  const { title, question, summary = [], signatures, figures, settings, reproduce } = report;
  const verdicts =
    signatures.length === 0
      ? []
      : ['## Expected and measured', `${verdictCounts(signatures)}.`, signatureTable(report)];
  const captions = figures.map(
    (figure) =>
      `- **${plain(figure.title)}** (\`figures/${figure.name}.svg\`): ${plain(figure.caption)}` +
      (figure.claim === undefined ? '' : ` In the paper: ${plain(figure.claim)}`),
  );
  const used = Object.entries(settings).map(
    ([name, value]) =>
      `- ${plain(name)}: ${plain(typeof value === 'number' ? formatNumber(value) : String(value))}`,
  );
  const parts = [
    `# ${plain(title)}`,
    plain(question),
    ...summary.map(plain),
    ...verdicts,
    ...(captions.length === 0 ? [] : ['## Figures', captions.join('\n')]),
    ...(used.length === 0 ? [] : ['## Settings', used.join('\n')]),
    '## How to reproduce',
    fenced(reproduce),
  ];
  return `${parts.join('\n\n')}\n`;
};
