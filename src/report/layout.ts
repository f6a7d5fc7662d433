// Where things stand in a figure: ranges of axes, widths of labels, labels that keep off one another.
import type { Axis } from './chart.js';

export type Range = readonly [low: number, high: number];

/**
 * The range of an axis: all values and what it must include, with some air. No air beyond 0 when
 * nothing is negative, nor beyond an included value that is the outermost.
 */
export const rangeOf = (
  axis: Pick<Axis, 'scale' | 'include'>,
  values: readonly number[],
  air = 0.04,
): Range => {
  const included = axis.include ?? [];
  const all = [...values, ...included];
  const log = axis.scale === 'log';
  if (all.length === 0) return log ? [1, 10] : [0, 1];
  const [low, high] = all.reduce<Range>(
    ([a, b], value) => [Math.min(a, value), Math.max(b, value)],
    [Infinity, -Infinity],
  );
  const [from, to] = log ? [Math.log(low), Math.log(high)] : [low, high];
  const pad = from === to ? (log ? 1 : Math.abs(from) * 0.1 || 1) : (to - from) * air;
  const ends = [from - pad, to + pad].map((end) => (log ? Math.exp(end) : end));
  const kept = (end: number, value: number): number => (included.includes(value) ? value : end);
  const [first, last] = [kept(ends[0]!, low), kept(ends[1]!, high)];
  if (first === last) return [first, first + pad];
  return [!log && low >= 0 ? Math.max(0, first) : first, last];
};

/** From a value to its place in pixels, between `start` and `end`. */
export const positionOf = (
  scale: Axis['scale'],
  [low, high]: Range,
  start: number,
  end: number,
): ((value: number) => number) => {
  const place = scale === 'log' ? Math.log : Number;
  return (value) =>
    start + ((place(value) - place(low)) / (place(high) - place(low))) * (end - start);
};

/** Of semibold text; an estimate that no installed font changes: figures are the same everywhere. */
export const widthOf = (text: string, fontSize = 12): number => text.length * fontSize * 0.62;

/** Lines of at most `width` characters where words allow it. */
export const wrap = (text: string, width: number): string[] => {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
};

/** 1, 2, 5, 10 … within the range of a logarithmic axis, or powers of ten where those are many. */
export const logTicks = ([low, high]: Range): number[] => {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const steps = Math.log10(high / low) > 2.5 ? [1] : [1, 2, 5];
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    .flatMap((power) => steps.map((step) => Number(`${step}e${power}`)))
    .filter((tick) => tick >= low && tick <= high);
};

/** Moves labels apart along an axis, as little as needed in one pass down and one up. */
export const spread = (
  labels: readonly { readonly at: number; readonly size: number }[],
  end: number,
): number[] => {
  const order = labels.map((_, i) => i).sort((a, b) => labels[a]!.at - labels[b]!.at || a - b);
  const places = labels.map(({ at }) => at);
  const gap = (a: number, b: number): number => (labels[a]!.size + labels[b]!.size) / 2;
  order.forEach((label, i) => {
    const before = order[i - 1];
    const least =
      before === undefined ? labels[label]!.size / 2 : places[before]! + gap(before, label);
    places[label] = Math.max(places[label]!, least);
  });
  for (let i = order.length - 1; i >= 0; i -= 1) {
    const [label, after] = [order[i]!, order[i + 1]];
    const most =
      after === undefined ? end - labels[label]!.size / 2 : places[after]! - gap(label, after);
    places[label] = Math.min(places[label]!, most);
  }
  return places;
};
