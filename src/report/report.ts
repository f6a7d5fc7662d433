// What a report says, before it has a form. page.ts and markdown.ts write it.
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import type { Interval } from '../evaluation/statistics.js';
import { type DiagramDescription, checkDiagram } from './diagram.js';
import { type Figure, checkData, checkName } from './figure.js';
import { formatInterval, formatNumber } from './numbers.js';

/** undetermined: measured, and the interval leaves it open. */
export type Verdict = 'holds' | 'does not hold' | 'undetermined' | 'not tested';

/** One thing that a study looks for, and what it found. */
export interface Signature {
  /** 'S1.1' */
  readonly id: string;
  /** In words or as an inequality. */
  readonly expected: string;
  /** Where the expectation is from: 'Tang et al. 2024, figure 1'. */
  readonly source?: string;
  /** What the numbers are: 'peak win rate, online less offline'. */
  readonly quantity?: string;
  /** The effect size; needed unless the verdict is 'not tested'. */
  readonly measured?: number;
  readonly interval?: Interval;
  /** Coverage of the interval; default 0.95. */
  readonly level?: number;
  readonly unit?: string;
  readonly verdict: Verdict;
  /** Whether the measured value, by itself, is as expected: says which way an open verdict leans. */
  readonly met?: boolean;
  /** What a reader must know: seeds that are missing, why it was not tested. */
  readonly note?: string;
}

export interface ReportFigure extends Figure {
  readonly title: string;
  /** What one sees in it. */
  readonly caption: string;
  /** What the paper says of its figure. */
  readonly claim?: string;
  /** Ids of the signatures that the figure shows. */
  readonly signatures?: readonly string[];
}

export interface Sample {
  readonly prompt: string;
  readonly responses: readonly { readonly label: string; readonly text: string }[];
}

/** A path or address that a report may link to. */
export interface Link {
  readonly label: string;
  /** Relative to the report's folder. */
  readonly path: string;
}

export interface Report {
  readonly title: string;
  /** What is asked, in a sentence or two. */
  readonly question: string;
  /** How the study is made, drawn after the question. */
  readonly protocol?: DiagramDescription;
  /** Paragraphs: what was found. */
  readonly summary?: readonly string[];
  readonly signatures: readonly Signature[];
  readonly figures: readonly ReportFigure[];
  /** Generations of several policies side by side. */
  readonly samples?: readonly Sample[];
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /** Where the procedure is not that of the paper, and why. */
  readonly deviations?: readonly string[];
  readonly manifest: JsonObject;
  /** Commands that do it again, and what they need. */
  readonly reproduce: readonly string[];
  /** Raw data beside the report. */
  readonly files?: readonly Link[];
}

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

const checkSignature = (signature: Signature): void => {
  const { id, measured, interval = [], verdict } = signature;
  const odd = [measured, ...interval].find(
    (value) => value !== undefined && !Number.isFinite(value),
  );
  if (odd !== undefined) {
    throw new AlignlabError(
      'NON_FINITE',
      `The signature ${id} has ${odd} among its measured numbers. One that could not be measured ` +
        "has the verdict 'not tested' and a note that says why.",
    );
  }
  if ((verdict === 'not tested') === (measured === undefined)) return;
  refuse(
    `The signature ${id} has the verdict '${verdict}' ` +
      `${measured === undefined ? 'without' : 'with'} a measured number. A verdict rests on a ` +
      'number, and what was not tested has none.',
  );
};

const linked = /^(?![/\\])(?!.*(^|[/\\])\.\.([/\\]|$))[^:?#\\]+$/;

/** Markup that acts, loads or is referred to. Texts and quoted values may say what they like. */
const isPlainSvg = (svg: string): boolean => {
  if (!svg.startsWith('<svg ') || !svg.endsWith('</svg>')) return false;
  const tags = svg.match(/<(?:"[^"]*"|[^">])*>/g) ?? [];
  return tags.every((tag) => {
    const bare = tag.replace(/="[^"]*"/g, '=');
    const odd =
      /<(?:script|foreignObject|image|use|style|a|iframe)\b|\s(?:on\w+|href|[\w-]+:href|src|id|style)=/i;
    return !odd.test(bare) && !/\s(?:fill|stroke|filter|mask|clip-path)="[^"]*url\(/i.test(tag);
  });
};

const checkFigure = (figure: ReportFigure, ids: ReadonlySet<string>): void => {
  checkName(figure.name);
  const unknown = figure.signatures?.find((id) => !ids.has(id));
  if (unknown !== undefined) {
    refuse(`The figure "${figure.name}" shows the signature ${unknown}, which the report lacks.`);
  }
  if (figure.data) checkData(figure.name, figure.data);
  if ([figure.svg, figure.narrow ?? figure.svg].every(isPlainSvg)) return;
  refuse(
    `The figure "${figure.name}" is not a plain SVG: it must begin with <svg and hold no scripts, ` +
      'images or links, because the page has to stand alone.',
  );
};

const twice = (values: readonly string[]): string | undefined =>
  values.find((value, i) => values.indexOf(value) !== i);

/** Throws OPTION_INVALID or NON_FINITE for a report that contradicts itself. */
export const checkReport = (report: Report): void => {
  const ids = report.signatures.map(({ id }) => id);
  const again = twice(ids) ?? twice(report.figures.map(({ name }) => name));
  if (again !== undefined) refuse(`The report has "${again}" twice. Ids and names are unique.`);
  report.signatures.forEach(checkSignature);
  for (const figure of report.figures) checkFigure(figure, new Set(ids));
  if (report.protocol) checkDiagram(report.protocol);
  const outside = report.files?.find(({ path }) => !linked.test(path));
  if (!outside) return;
  refuse(`The report links to "${outside.path}". Give a path inside the report's own folder.`);
};

/** 'peak win rate, online less offline: 0.12 (95% interval 0.08 to 0.16)', or a dash. */
export const measuredText = (signature: Signature): string => {
  const { quantity, measured, interval, level = 0.95, unit } = signature;
  if (measured === undefined) return '–';
  const number = `${formatNumber(measured)}${unit === undefined ? '' : ` ${unit}`}`;
  const ends = interval
    ? ` (${formatNumber(level * 100)}% interval ${formatInterval(interval)})`
    : ' (no interval)';
  return `${quantity === undefined ? '' : `${quantity}: `}${number}${ends}`;
};

export const verdicts: readonly Verdict[] = [
  'holds',
  'does not hold',
  'undetermined',
  'not tested',
];

/** Of an undetermined signature, which way its value leans. */
export const leaningText = ({ verdict, met }: Signature): string => {
  if (verdict !== 'undetermined' || met === undefined) return '';
  return met ? 'the value is as expected' : 'the value is not as expected';
};

/** '9 of 13 hold, 2 do not, 1 undetermined (1 with a value as expected), 1 not tested' */
export const verdictCounts = (signatures: readonly Signature[]): string => {
  const [held, failed, unclear, open] = verdicts.map(
    (verdict) => signatures.filter((each) => each.verdict === verdict).length,
  );
  const leaning = signatures.filter((each) => each.verdict === 'undetermined' && each.met).length;
  const lean = leaning ? ` (${leaning} with a value as expected)` : '';
  const left = unclear ? `, ${unclear} undetermined${lean}` : '';
  return `${held} of ${signatures.length} hold, ${failed} do not${left}, ${open} not tested`;
};

export const verdictMark: Readonly<Record<Verdict, string>> = {
  holds: '✓',
  'does not hold': '✗',
  undetermined: '?',
  'not tested': '–',
};
