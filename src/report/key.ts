// The names of arms in rows above the plots, where there is no room beside them.
import { textAt } from './drawing.js';
import { widthOf } from './layout.js';
import type { Look } from './style.js';

const row = 20;
const gap = 12;
const markWidth = 28;

const marks: Readonly<Record<string, string>> = {
  circle: '<circle r="4"/>',
  square: '<rect x="-3.5" y="-3.5" width="7" height="7"/>',
  'triangle-up': '<path d="M-4.5,4L4.5,4L0,-4Z"/>',
  'triangle-down': '<path d="M-4.5,-4L4.5,-4L0,4Z"/>',
  diamond: '<path d="M0,-5L4,0L0,5L-4,0Z"/>',
  cross: '<path d="M-4.5,-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3Z"/>',
};

const lineOf = ({ colour, dash }: Look): string =>
  `<path d="M-${markWidth / 2},0H${markWidth / 2}" fill="none" stroke="${colour}" ` +
  `stroke-width="2.25"${dash.length > 0 ? ` stroke-dasharray="${dash.join()}"` : ''}/>`;

export interface KeyEntry {
  readonly label: string;
  readonly look: Look;
  /** Bars have none. */
  readonly line: boolean;
}

/** The key from `top` on, and the height that it takes. */
export const keyOf = (entries: readonly KeyEntry[], width: number, top: number) => {
  let [x, y] = [gap, top + row / 2];
  let body = '';
  for (const { label, look, line } of entries) {
    const mark = line ? markWidth : 10;
    const size = widthOf(label) + mark + 24;
    if (x > gap && x + size > width) [x, y] = [gap, y + row];
    const style = `font-size="12" font-weight="600" fill="${look.colour}"`;
    const shape = `${line ? lineOf(look) : ''}${marks[look.symbol]}`;
    body += `<g transform="translate(${x + mark / 2},${y})" fill="${look.colour}">${shape}</g>`;
    body += textAt(x + mark + 6, y + 4, style, label);
    x += Math.round(size);
  }
  return { body, height: entries.length === 0 ? 0 : y - top + row / 2 + 4 };
};
