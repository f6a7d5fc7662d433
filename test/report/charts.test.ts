// Figures: the same text every time, whole for little data, and nothing but finite numbers.
import test from 'ava';
import { AlignlabError } from '../../src/errors.js';
import {
  type Arm,
  type BarChart,
  type Chart,
  type LineChart,
  type ScatterChart,
  type SmallMultiples,
  armOverSeeds,
  frontierCloud,
} from '../../src/report/chart.js';
import { renderChart } from '../../src/report/charts.js';

const axes = {
  x: { title: 'KL', unit: 'nats' },
  y: { title: 'Win rate', include: [0] },
};

const cloud = (label: string, height: number) =>
  frontierCloud(
    label,
    [0.5, 1, 2, 3].map((kl, i) => ({
      kl,
      winRate: height + [0, 0.2, 0.1, 0.3][i]!,
      run: 'a',
      step: i,
    })),
  );

const scatter = (more: Partial<ScatterChart> = {}): ScatterChart => ({
  kind: 'scatter',
  name: 'fig-1',
  ...axes,
  clouds: [cloud('online', 0.4), cloud('offline', 0.1)],
  ...more,
});

const lines = (arms: readonly Arm[]): LineChart => ({
  kind: 'lines',
  name: 'fig-8',
  ...axes,
  arms,
});

const bars = (list: BarChart['bars']): BarChart => ({
  kind: 'bars',
  name: 'fig-12',
  value: { title: 'Best win rate' },
  bars: list,
});

const count = (svg: string, part: string): number => svg.split(part).length - 1;

test('a chart gives the same SVG every time, whatever was drawn in between', async (t) => {
  const charts: (Chart | SmallMultiples)[] = [
    scatter(),
    lines([
      {
        label: 'a',
        points: [
          { x: 0, y: 1, low: 0.5, high: 2 },
          { x: 1, y: 2 },
        ],
      },
    ]),
    bars([{ category: 'D_golden', value: 0.2, low: 0.1, high: 0.3 }]),
    { kind: 'multiples', name: 'fig-4', panels: [{ ...scatter(), title: 'help' }] },
  ];
  const first = await Promise.all(charts.map(renderChart));
  const second = await Promise.all([...charts].reverse().map(renderChart));
  t.deepEqual(second.reverse(), first);
  for (const [svg, width] of first.flatMap(
    (each) =>
      [
        [each.svg, 600],
        [each.narrow!, 360],
      ] as const,
  )) {
    t.regex(svg, /^<svg xmlns="[^"]+" role="img" aria-label="[^"]+" width="/);
    t.true(svg.includes(` viewBox="0 0 ${width} `));
    t.notRegex(svg, / id="|url\(|href=|<script|NaN|undefined/); // several stand in one page
    t.notRegex(svg, / transform="[^"]*\.\d{3}/); // noise beyond a hundredth of a pixel
  }
});

test('marks carry what they stand for, and the alternative text says what is seen', async (t) => {
  const { svg, alt } = await renderChart(scatter());
  t.is(count(svg, '<title>'), 8);
  t.true(svg.includes('<title>online: 0.4 at 0.5 nats&#xA;a, step 0</title>'));
  t.is(
    alt,
    'Win rate over KL (nats). online: 4 points from 0.4 to 0.7, envelope up to 0.7 at 3; ' +
      'offline: 4 points from 0.1 to 0.4, envelope up to 0.4 at 3.',
  );
  t.is((await renderChart(scatter({ alt: 'Said otherwise.' }))).alt, 'Said otherwise.');
});

test('the envelope is a staircase from corner to corner and on to the end of its cloud', async (t) => {
  const points = [
    { kl: 1, winRate: 0.5, run: 'a', step: 1 },
    { kl: 3, winRate: 0.2, run: 'a', step: 2 },
  ];
  const { svg } = await renderChart(scatter({ clouds: [frontierCloud('online', points)] }));
  const path = /stroke="#0072b2"[^>]*stroke-width="2.25"/.exec(svg)!;
  const line = svg.slice(svg.lastIndexOf('<path', path.index), path.index);
  const [, x1, y1, x2, y2] = /d="M([\d.]+),([\d.]+)L[^"]*?([\d.]+),([\d.]+)"/.exec(line)!;
  t.is(y1, y2); // 0.5 holds up to KL 3, though the later checkpoint is worse
  t.true(Number(x2) > Number(x1));
});

test('names from users are escaped everywhere', async (t) => {
  const evil = '</text><script>"&\'';
  const { svg, alt } = await renderChart({
    ...scatter({ clouds: [{ ...cloud('x', 0), label: evil }] }),
    title: evil,
    references: [{ y: 0.1, label: evil }],
  });
  t.notRegex(svg, /<script/);
  t.true(alt.includes(evil));
  t.true(svg.includes('&lt;/text&gt;&lt;script&gt;&quot;&amp;&#39;'));
  const panels = [{ ...scatter({ clouds: [{ ...cloud('x', 0), label: evil }] }), title: evil }];
  t.notRegex((await renderChart({ kind: 'multiples', name: 'm', panels })).svg, /<script/);
  const bar = bars([{ category: evil, arm: evil, value: 1 }]);
  t.notRegex((await renderChart(bar)).svg, /<script/);
});

test('no data, a single point and an arm without points are drawn as such', async (t) => {
  for (const chart of [scatter({ clouds: [] }), lines([]), bars([])]) {
    const { svg, alt } = await renderChart(chart);
    t.true(svg.includes('No data yet'), chart.kind);
    t.regex(alt, /No data\.$/);
  }
  const single = lines([
    { label: 'proxy', points: [{ x: 5, y: 0.5, low: 0.4, high: 0.6 }] },
    { label: 'absent', points: [] },
  ]);
  const { svg } = await renderChart(single);
  t.false(svg.includes('No data yet'));
  t.true(svg.includes('absent (no data)'));
  t.is(count(svg, '<title>proxy: 0.5 (0.4 to 0.6) at 5 nats'), 1);
  t.notRegex(svg, /NaN|Infinity/);
});

test('missing seeds: the mean is over those there are, and the point says so', async (t) => {
  const arm = armOverSeeds('online', [
    [
      { x: 0, y: 1 },
      { x: 1, y: 4 },
    ],
    [{ x: 0, y: 3 }],
  ]);
  t.deepEqual(arm.points, [
    { x: 0, y: 2, low: 1, high: 3, seeds: 2 },
    { x: 1, y: 4, low: 4, high: 4, seeds: 1 },
  ]);
  const { svg } = await renderChart(lines([arm]));
  t.regex(svg, /fill="#0072b2"[^>]*><title>online: 2 nats|><title>online: 2 \(1 to 3\)/);
  const hollow = /<path[^>]*><title>online: 4 [^<]*1 of 2 seeds<\/title>/.exec(svg);
  t.truthy(hollow);
  t.notRegex(hollow![0], /fill="#/);
});

test('NaN and infinities are refused with the figure, the arm and the point', async (t) => {
  const point = (y: number) =>
    lines([
      {
        label: 'online',
        points: [
          { x: 0, y: 1 },
          { x: 1, y },
        ],
      },
    ]);
  const wrong: (Chart | SmallMultiples)[] = [
    point(NaN),
    point(Infinity),
    scatter({ clouds: [{ label: 'online', points: [{ x: NaN, y: 0 }] }] }),
    scatter({ references: [{ y: NaN, label: 'online' }] }),
    bars([{ category: 'online', value: NaN }]),
    bars([{ category: 'online', value: 1, low: 0, high: NaN }]),
    { kind: 'multiples', name: 'fig-8', panels: [{ ...point(NaN), title: 'help' }] },
  ];
  for (const chart of wrong) {
    const error = await t.throwsAsync(renderChart(chart), { instanceOf: AlignlabError });
    t.is(error.code, 'NON_FINITE');
    t.true(error.message.includes(`"${chart.name}`), error.message);
    t.true(error.message.includes('"online"'), error.message);
  }
  const { message } = await t.throwsAsync(renderChart(point(NaN)), { instanceOf: AlignlabError });
  t.true(message.startsWith('The figure "fig-8" has NaN as y of point 2 of "online".'));
});

test('what cannot be drawn truthfully is refused', async (t) => {
  const wrong: (Chart | SmallMultiples)[] = [
    scatter({ name: '../fig' }),
    scatter({ clouds: [cloud('a', 0), cloud('a', 0)] }),
    scatter({
      x: { title: 'KL', scale: 'log' },
      clouds: [{ label: 'a', points: [{ x: 0, y: 1 }] }],
    }),
    scatter({ width: 10 }),
    lines([{ label: 'a', points: [{ x: 0, y: 1, low: 0 }] }]),
    lines([{ label: 'a', points: [{ x: 0, y: 1, low: 2, high: 3 }] }]),
    bars([
      { category: 'a', value: 1 },
      { category: 'a', value: 2 },
    ]),
    { kind: 'multiples', name: 'm', panels: [], columns: 0 },
  ];
  for (const chart of wrong) {
    const error = await t.throwsAsync(renderChart(chart), { instanceOf: AlignlabError });
    t.is(error.code, 'OPTION_INVALID');
  }
});

test('panels share axes and colours unless each has its own', async (t) => {
  const panel = (title: string, label: string, height: number) => ({
    ...lines([
      {
        label,
        points: [
          { x: 0, y: 0 },
          { x: 1, y: height },
        ],
      },
    ]),
    title,
  });
  const panels = [panel('help', 'online', 1), panel('chat', 'offline', 50)];
  const shared = await renderChart({ kind: 'multiples', name: 'm', panels });
  const own = await renderChart({ kind: 'multiples', name: 'm', panels, ownAxes: true });
  t.is(count(shared.svg, '>40<'), 2);
  t.is(count(own.svg, '>40<'), 1);
  t.regex(shared.svg, /stroke="#cc4c00"/); // the second arm of the figure, the first of its panel
});

test('on narrow pages the names stand above the plot, and no name beside it', async (t) => {
  const { narrow } = await renderChart(scatter({ references: [{ y: 0.4, label: 'chance' }] }));
  for (const label of ['online', 'offline', 'chance']) t.is(count(narrow!, `>${label}<`), 1, label);
  const names = [...narrow!.matchAll(/<text x="([\d.]+)" y="([\d.]+)"[^>]*>(?:online|offline)</g)];
  t.is(names.length, 2);
  for (const [, , y] of names) t.true(Number(y) < 30);
});

test('the data of a figure are its numbers in full, without columns of nothing', async (t) => {
  const { data } = await renderChart(
    lines([{ label: 'a', points: [{ x: 1, y: 1 / 3, low: 0, high: 1 }] }]),
  );
  t.deepEqual(data, {
    columns: ['arm', 'KL (nats)', 'Win rate', 'low', 'high'],
    rows: [['a', 1, 1 / 3, 0, 1]],
  });
  const panels = ['help', 'chat'].map((title) => ({ ...scatter(), title }));
  const all = await renderChart({ kind: 'multiples', name: 'm', panels });
  t.deepEqual(all.data!.columns, ['arm', 'KL (nats)', 'Win rate', 'panel', 'part', 'note']);
  t.is(all.data!.rows.length, 2 * 2 * (4 + 3)); // panels, clouds; points and corners of envelopes
});

test('an arm keeps its look wherever it stands', async (t) => {
  const { svg, narrow } = await renderChart(scatter({ clouds: [{ ...cloud('a', 0), look: 1 }] }));
  for (const each of [svg, narrow!]) {
    t.true(each.includes('#cc4c00'));
    t.false(each.includes('#0072b2'));
  }
  await t.throwsAsync(renderChart(scatter({ clouds: [{ ...cloud('a', 0), look: -1 }] })), {
    instanceOf: AlignlabError,
  });
});
