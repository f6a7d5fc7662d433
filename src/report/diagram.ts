// Diagrams of boxes and arrows, from a plain description: from left to right on wide pages, from top
// to bottom on narrow ones.
import { AlignlabError } from '../errors.js';
import { drawDiagram } from './diagram-drawing.js';
import { toSvg } from './drawing.js';

export interface DiagramNode {
  readonly id: string;
  readonly label: string;
  /** A second, smaller text. */
  readonly sublabel?: string;
  /** Place in the grid, from 0: along the arrows … */
  readonly column: number;
  /** … and across them. On narrow pages columns lie below one another, and rows side by side. */
  readonly row: number;
  /** Rows that the box takes; default 1. */
  readonly rows?: number;
  /** Data have square corners, measures a double frame. Default 'model'. */
  readonly kind?: 'data' | 'model' | 'measure';
  /** Drawn in the colour that the i-th arm has in the figures. */
  readonly arm?: number;
}

/** Of a box, as seen along the columns. */
export type Side = 'before' | 'after' | 'above' | 'below';

export interface DiagramEdge {
  readonly from: string;
  readonly to: string;
  /** What happens on the way: a word or two. */
  readonly label?: string;
  /** Default 'after'; within a column 'below' or 'above'. */
  readonly leave?: Side;
  /** Default 'before'; within a column 'above' or 'below'. */
  readonly enter?: Side;
}

export interface DiagramDescription {
  readonly nodes: readonly DiagramNode[];
  readonly edges: readonly DiagramEdge[];
  /** Below the drawing. */
  readonly caption?: string;
}

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', `The diagram ${message}`);
};

const isPlace = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value < 20;

/** Throws OPTION_INVALID for boxes in one another's place and arrows to nowhere. */
export const checkDiagram = ({ nodes, edges }: DiagramDescription): void => {
  const ids = nodes.map(({ id }) => id);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) refuse(`has two boxes with the id "${twice}". Ids are unique.`);
  const taken = new Map<string, string>();
  for (const { id, column, row, rows = 1 } of nodes) {
    if (![column, row, rows].every(isPlace) || rows < 1) {
      refuse(`puts "${id}" at column ${column}, row ${row} (${rows} rows). Count from 0 to 19.`);
    }
    for (let i = row; i < row + rows; i += 1) {
      const other = taken.get(`${column},${i}`);
      if (other !== undefined) refuse(`has "${other}" and "${id}" at column ${column}, row ${i}.`);
      taken.set(`${column},${i}`, id);
    }
  }
  for (const { from, to } of edges) {
    const unknown = [from, to].find((id) => !ids.includes(id));
    if (unknown !== undefined) refuse(`has an arrow to or from "${unknown}", which is no box.`);
    if (from === to) refuse(`has an arrow from "${from}" to itself.`);
  }
};

/** 'D_golden to SFT policy: both responses; …' */
export const describeDiagram = ({ nodes, edges }: DiagramDescription): string => {
  const labels = new Map(nodes.map(({ id, label }) => [id, label]));
  const list = edges.map(
    ({ from, to, label }) =>
      `${labels.get(from)!} to ${labels.get(to)!}${label === undefined ? '' : `: ${label}`}`,
  );
  return `A diagram. ${list.join('; ')}.`;
};

export interface DiagramDrawings {
  /** From left to right, 900 pixels wide. */
  readonly wide: string;
  /** From top to bottom, 360 pixels wide. */
  readonly narrow: string;
}

/** Two SVG texts of one diagram. Throws OPTION_INVALID as `checkDiagram` does. */
export const protocolDiagram = (description: DiagramDescription): DiagramDrawings => {
  checkDiagram(description);
  const alt = describeDiagram(description);
  return {
    wide: toSvg(drawDiagram(description, 900, false), alt),
    narrow: toSvg(drawDiagram(description, 360, true), alt),
  };
};
