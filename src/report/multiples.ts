// Panels under one key: small multiples, and any chart for pages too narrow for names at its side.
import { armsOf, barSpec } from './bars.js';
import {
  type BarChart,
  type PlaneChart,
  type Series,
  type SmallMultiples,
  seriesOf,
} from './chart.js';
import { type Drawing, headingOf, nested, titleHeight } from './drawing.js';
import { titleLines } from './frame.js';
import { type KeyEntry, keyOf } from './key.js';
import { curveOf } from './plane-labels.js';
import { planeSpec, rangesOf } from './plane.js';
import { lookOf } from './style.js';
import { draw } from './svg.js';

const gap = 12;

/** Pixels; a phone's page less its margins. */
export const narrowWidth = 360;

interface Keyed {
  readonly title: string | undefined;
  readonly width: number;
  readonly entries: readonly KeyEntry[];
  readonly columns: number;
}

const heightAbove = ({ title, width, entries }: Keyed): number => {
  const top = titleLines(title, width).length * titleHeight + 8;
  return top + keyOf(entries, width, top).height;
};

/** Panels of one size, row by row below the title and the key. */
const joined = (keyed: Keyed, panels: readonly Drawing[]): Drawing => {
  const { title, width, entries, columns } = keyed;
  const titles = titleLines(title, width);
  const above = heightAbove(keyed);
  const rows = Math.ceil(panels.length / columns);
  const [size, height] = [panels[0]?.width ?? 0, panels[0]?.height ?? 0];
  const key = keyOf(entries, width, titles.length * titleHeight + 8);
  const body = panels.map((panel, i) =>
    nested(panel, (i % columns) * (size + gap), above + Math.floor(i / columns) * (height + gap)),
  );
  return {
    width,
    height: above + rows * (height + gap) - gap,
    body: [headingOf(titles), key.body, ...body].join(''),
  };
};

const hasLine = (chart: PlaneChart, series: Series): boolean => curveOf(chart, series).length > 1;

const entriesOf = (panels: readonly PlaneChart[]): KeyEntry[] => {
  const all = panels.flatMap((panel) =>
    seriesOf(panel).map((series) => ({ ...series, line: hasLine(panel, series) })),
  );
  return [...new Set(all.map(({ label }) => label))].map((label, i) => ({
    label,
    look: lookOf(all.find((each) => each.label === label)?.look ?? i),
    line: all.some((each) => each.label === label && each.line),
  }));
};

export const drawMultiples = async (chart: SmallMultiples): Promise<Drawing> => {
  const { title, panels, columns = 2, width = 600, ownAxes = false } = chart;
  const keyed = { title, width, entries: entriesOf(panels), columns };
  const rows = Math.ceil(panels.length / columns);
  const size = Math.floor((width - gap * (columns - 1)) / columns);
  const left = (chart.height ?? 0) - heightAbove(keyed) - gap * (rows - 1);
  const fitting = chart.height === undefined ? 0 : left / rows;
  const height = Math.max(160, Math.floor(fitting) || Math.round(size * 0.82));
  const looks = new Map(keyed.entries.map(({ label, look }) => [label, look]));
  const options = { labels: false, looks, ...(ownAxes ? {} : { ranges: rangesOf(panels) }) };
  const drawings: Drawing[] = [];
  for (const panel of panels) {
    drawings.push(await draw(planeSpec({ ...panel, width: size, height }, options)));
  }
  return joined(keyed, drawings);
};

/** The same chart, 360 pixels wide, with its key above it. */
export const drawNarrow = async (
  chart: PlaneChart | BarChart | SmallMultiples,
): Promise<Drawing> => {
  const width = narrowWidth;
  if (chart.kind === 'multiples') {
    const { height: _, ...rest } = chart;
    return drawMultiples({ ...rest, width, columns: 1 });
  }
  const { title, height: _, ...bare } = chart;
  const keyed = { title, width, columns: 1 };
  if (bare.kind === 'bars') {
    const entries = armsOf(bare).map((label, i) => ({
      label,
      look: { ...lookOf(i), symbol: 'square' },
      line: false,
    }));
    return joined({ ...keyed, entries }, [
      await draw(barSpec({ ...bare, width }, { keyed: false })),
    ]);
  }
  const sized = planeSpec({ ...bare, width, height: 290 }, { labels: false });
  return joined({ ...keyed, entries: entriesOf([bare]) }, [await draw(sized)]);
};
