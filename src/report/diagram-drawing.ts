// Draws a diagram: measures its texts, lets the layout place boxes and arrows, and turns both for
// narrow pages.
import type { DiagramDescription, DiagramNode } from './diagram.js';
import { type Arrow, type Box, type Place, boxOf, routesOf, tracksOf } from './diagram-layout.js';
import { type Drawing, textAt } from './drawing.js';
import { wrap } from './layout.js';
import { lookOf } from './style.js';

const sizes = {
  wide: { gapAlong: 62, gapAcross: 26, bend: 31, label: 13, sublabel: 11.5 },
  narrow: { gapAlong: 40, gapAcross: 14, bend: 13, label: 10.5, sublabel: 10 },
} as const;
const padding = 8;
const laneRoom = 24;

interface Style {
  readonly turned: boolean;
  readonly label: number;
  readonly sublabel: number;
}

const linesOf = (text: string | undefined, width: number, fontSize: number): string[] =>
  text === undefined ? [] : wrap(text, Math.floor((width - 2 * padding) / (fontSize * 0.56)));

const textsOf = ({ label, sublabel }: DiagramNode, width: number, style: Style) => ({
  head: linesOf(label, width, style.label * 1.08),
  small: linesOf(sublabel, width, style.sublabel),
});

const heightOf = (node: DiagramNode, width: number, style: Style): number => {
  const { head, small } = textsOf(node, width, style);
  return (
    2 * padding +
    head.length * style.label * 1.25 +
    (small.length > 0 ? 2 + small.length * style.sublabel * 1.3 : 0)
  );
};

interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const rectangleOf = ({ u, v }: Box, turned: boolean): Rectangle => {
  const [across, down] = turned ? [v, u] : [u, v];
  const [x, y] = [across[0], down[0]];
  return { x, y, width: across[1] - x, height: down[1] - y };
};

const frameOf = ({ kind = 'model', arm }: DiagramNode, area: Rectangle): string => {
  const colour = arm === undefined ? 'currentColor' : lookOf(arm).colour;
  const rect = ({ x, y, width, height }: Rectangle, fill: number): string =>
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${kind === 'data' ? 1 : 9}" ` +
    `fill="${colour}" fill-opacity="${fill}" stroke="${colour}" ` +
    `stroke-opacity="${arm === undefined ? 0.55 : 1}" stroke-width="1.25"/>`;
  if (kind !== 'measure') return rect(area, arm === undefined ? 0.05 : 0.1);
  const { x, y, width, height } = area;
  const inner = { x: x + 3, y: y + 3, width: width - 6, height: height - 6 };
  return rect(area, 0.05) + rect(inner, 0);
};

const round = (value: number): number => Math.round(value * 10) / 10;

const boxBody = (box: Box, style: Style): string => {
  const area = rectangleOf(box, style.turned);
  const { head, small } = textsOf(box.node, area.width, style);
  const middle = round(area.x + area.width / 2);
  let y = area.y + (area.height - heightOf(box.node, area.width, style)) / 2 + padding;
  const line = (words: string, size: number, height: number, look: string): string => {
    const text = textAt(
      middle,
      round(y + size * 0.95),
      `font-size="${size}" text-anchor="middle" fill="currentColor"${look}`,
      words,
    );
    y += height;
    return text;
  };
  const heads = head.map((words) =>
    line(words, style.label, style.label * 1.25, ' font-weight="600"'),
  );
  y += 2;
  const rest = small.map((words) =>
    line(words, style.sublabel, style.sublabel * 1.3, ' opacity="0.75"'),
  );
  return [frameOf(box.node, area), ...heads, ...rest].join('');
};

const headLength = 8;

/** The tip of an arrow that comes from `before` to `end`. */
const tipOf = ([x, y]: Place, before: Place): string => {
  const [dx, dy] = [Math.sign(round(x - before[0])), Math.sign(round(y - before[1]))];
  const [backX, backY] = [x - dx * headLength, y - dy * headLength];
  const half = headLength / 2.2;
  const corners = [
    [x, y],
    [backX - dy * half, backY + dx * half],
    [backX + dy * half, backY - dx * half],
  ].map((corner) => corner.map(round).join());
  return `<path d="M${corners.join('L')}Z" fill="currentColor" fill-opacity="0.75"/>`;
};

const lengthOf = ([from, to]: readonly [Place, Place]): number =>
  Math.abs(to[0] - from[0]) + Math.abs(to[1] - from[1]);

/** Above a level piece of the way where it is long enough, or beside an upright one. */
const labelOf = (label: string, [from, to]: readonly [Place, Place], style: Style): string => {
  const look = `font-size="${style.sublabel}" font-style="italic" fill="currentColor"`;
  const level = Math.abs(from[1] - to[1]) < 1;
  const [x, y] = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
  if (level && lengthOf([from, to]) < label.length * style.sublabel * 0.5) return '';
  if (level) return textAt(round(x), round(y - 5), `${look} text-anchor="middle"`, label);
  const lines = wrap(label, style.turned ? 9 : 14);
  const height = style.sublabel * 1.2;
  const middle = y + style.sublabel * 0.35 - (style.turned ? 5 : 0); // off the bend before the tip
  return lines
    .map((words, i) =>
      textAt(round(x + 6), round(middle + height * (i - (lines.length - 1) / 2)), look, words),
    )
    .join('');
};

const arrowBody = ({ edge, points, lane }: Arrow, style: Style): string => {
  const turned = points.map(([u, v]): Place => (style.turned ? [v, u] : [u, v]));
  const [end, before] = [turned.at(-1)!, turned.at(-2)!];
  const way = turned.map((point) => point.map(round).join()).join('L');
  const pieces = turned.slice(1).map((point, i) => [turned[i]!, point] as const);
  const longest = pieces.reduce((best, piece) => (lengthOf(piece) > lengthOf(best) ? piece : best));
  const label =
    edge.label === undefined ? '' : labelOf(edge.label, lane ? pieces.at(-1)! : longest, style);
  return (
    `<path d="M${way}" fill="none" stroke="currentColor" stroke-opacity="0.6" ` +
    `stroke-width="1.25"/>${tipOf(end, before)}${label}`
  );
};

const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0);

/** Sizes of the tracks along the direction in which boxes are as high as their texts. */
const textTracks = (
  nodes: readonly DiagramNode[],
  count: number,
  trackOf: (node: DiagramNode) => number,
  widthOf: (node: DiagramNode) => number,
  style: Style,
): number[] =>
  Array.from({ length: count }, (_, i) =>
    Math.ceil(
      most(
        nodes
          .filter((node) => trackOf(node) === i)
          .map((node) => heightOf(node, widthOf(node), style)),
      ),
    ),
  );

/** `turned`: columns below one another. */
export const drawDiagram = (
  { nodes, edges }: DiagramDescription,
  width: number,
  turned: boolean,
): Drawing => {
  const { gapAlong, gapAcross, bend, label, sublabel } = turned ? sizes.narrow : sizes.wide;
  const style = { turned, label, sublabel };
  const columns = most(nodes.map(({ column }) => column + 1));
  const rows = most(nodes.map(({ row, rows: own = 1 }) => row + own));
  const lanes = edges.some(({ leave, enter }) => leave === 'above' && enter === 'above');
  const first = lanes ? laneRoom : 4;
  const [gap, count, start] = turned ? [gapAcross, rows, first] : [gapAlong, columns, 4];
  const size = Math.floor((width - start - 4 - gap * (count - 1)) / (count || 1));
  const span = ({ rows: own = 1 }: DiagramNode): number =>
    turned ? own * size + (own - 1) * gap : size;
  const level = ({ row, column, rows: own = 1 }: DiagramNode): number =>
    turned ? column : own === 1 ? row : -1; // a box of several rows has room enough
  const fixed = tracksOf(Array<number>(count).fill(size), gap, start);
  const fitting = tracksOf(
    textTracks(nodes, turned ? columns : rows, level, span, style),
    turned ? gapAlong : gapAcross,
    turned ? 4 : first,
  );
  const tracks = turned ? { columns: fitting, rows: fixed } : { columns: fixed, rows: fitting };
  const boxes = nodes.map((node) => boxOf(node, tracks));
  const arrows = routesOf(edges, boxes, bend);
  return {
    width,
    height: (fitting.at(-1)?.[1] ?? 0) + 6,
    body: [
      ...arrows.map((arrow) => arrowBody(arrow, style)),
      ...boxes.map((box) => boxBody(box, style)),
    ].join(''),
  };
};
