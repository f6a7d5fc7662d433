// Small multiples: panels side by side under one key.
import { type SmallMultiples, seriesOf } from './chart.js';
import { widthOf } from './layout.js';
import { planeSpec, rangesOf, titleLines } from './plane.js';
import { type Look, lookOf } from './style.js';
import { type Drawing, draw, headingOf, nested, textAt, titleHeight } from './svg.js';

const gap = 12;
const row = 20;

const marks: Readonly<Record<string, string>> = {
  circle: '<circle r="4"/>',
  square: '<rect x="-3.5" y="-3.5" width="7" height="7"/>',
  'triangle-up': '<path d="M-4.5,4L4.5,4L0,-4Z"/>',
  'triangle-down': '<path d="M-4.5,-4L4.5,-4L0,4Z"/>',
  diamond: '<path d="M0,-5L4,0L0,5L-4,0Z"/>',
  cross: '<path d="M-4.5,-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3Z"/>',
};

/** The names of the arms in rows below `top`, and the height that they take. */
const keyOf = (looks: ReadonlyMap<string, Look>, width: number, top: number) => {
  let [x, y] = [gap, top + row / 2];
  let body = '';
  for (const [label, { colour, symbol }] of looks) {
    const size = widthOf(label) + 34;
    if (x > gap && x + size > width) [x, y] = [gap, y + row];
    const style = `font-size="12" font-weight="600" fill="${colour}"`;
    body += `<g transform="translate(${x + 5},${y})" fill="${colour}">${marks[symbol]}</g>`;
    body += textAt(x + 15, y + 4, style, label);
    x += Math.round(size);
  }
  return { body, height: looks.size === 0 ? 0 : y - top + row / 2 + 4 };
};

export const drawMultiples = async (chart: SmallMultiples): Promise<Drawing> => {
  const { panels, columns = 2, width = 600, ownAxes = false } = chart;
  const labels = [...new Set(panels.flatMap((panel) => seriesOf(panel).map(({ label }) => label)))];
  const looks = new Map(labels.map((label, i) => [label, lookOf(i)]));
  const titles = titleLines(chart.title, width);
  const top = titles.length * titleHeight + 8;
  const key = keyOf(looks, width, top);
  const rows = Math.ceil(panels.length / columns);
  const size = Math.floor((width - gap * (columns - 1)) / columns);
  const above = top + key.height;
  const fitting = chart.height === undefined ? 0 : (chart.height - above - gap * (rows - 1)) / rows;
  const height = Math.max(160, Math.floor(fitting) || Math.round(size * 0.82));
  const shared = ownAxes ? {} : { ranges: rangesOf(panels) };
  let body = headingOf(titles) + key.body;
  for (const [i, panel] of panels.entries()) {
    const sized = planeSpec({ ...panel, width: size, height }, { labels: false, looks, ...shared });
    const [column, line] = [i % columns, Math.floor(i / columns)];
    const drawing = await draw(sized);
    body += nested(drawing, column * (size + gap), above + line * (height + gap));
  }
  return { width, height: above + rows * (height + gap), body };
};
