// Diagrams: boxes apart, arrows that end at boxes and pass none, nonsense refused.
import test from 'ava';
import { AlignlabError } from '../../src/errors.js';
import { type DiagramDescription, protocolDiagram } from '../../src/report/diagram.js';
import { protocol } from '../../src/studies/performance-gap/protocol-diagram.js';

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const boxesOf = (svg: string): Box[] =>
  [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/g)]
    .map(([, ...numbers]) => numbers.map(Number))
    .map(([x, y, width, height]) => ({ x: x!, y: y!, width: width!, height: height! }));

type Place = readonly [number, number];

const waysOf = (svg: string): Place[][] =>
  [...svg.matchAll(/<path d="M([^"Z]+)" fill="none"/g)].map(([, way]) =>
    way!.split('L').map((place) => place.split(',').map(Number) as unknown as Place),
  );

/** Whether a level or upright piece of a way runs through the inside of a box. */
const crosses = ([a, b]: readonly [Place, Place], { x, y, width, height }: Box): boolean =>
  Math.max(a[0], b[0]) > x + 1 &&
  Math.min(a[0], b[0]) < x + width - 1 &&
  Math.max(a[1], b[1]) > y + 1 &&
  Math.min(a[1], b[1]) < y + height - 1;

test('the protocol of the performance gap is drawn without collisions, in both directions', (t) => {
  const { wide, narrow } = protocolDiagram(protocol);
  for (const svg of [wide, narrow]) {
    const boxes = boxesOf(svg).slice(0, -1); // the last is the inner frame of the measure
    t.is(boxes.length, protocol.nodes.length);
    boxes.forEach((box, i) => {
      for (const other of boxes.slice(0, i)) {
        const apart =
          box.x >= other.x + other.width ||
          other.x >= box.x + box.width ||
          box.y >= other.y + other.height ||
          other.y >= box.y + box.height;
        t.true(apart, `${i}`);
      }
    });
    const ways = waysOf(svg);
    t.is(ways.length, protocol.edges.length);
    for (const way of ways) {
      way.slice(1).forEach((place, i) => {
        const piece = [way[i]!, place] as const;
        t.true(piece[0][0] === place[0] || piece[0][1] === place[1], 'neither level nor upright');
        t.false(
          boxes.some((box) => crosses(piece, box)),
          JSON.stringify(piece),
        );
      });
    }
    const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg)!.map(Number);
    for (const [x, y] of ways.flat()) t.true(x > 0 && x < width! && y > 0 && y < height!);
  }
  t.regex(wide, /aria-label="A diagram\. D_initial to Golden preference model: trains;/);
  t.notRegex(wide + narrow, /NaN|undefined| id=|url\(/);
  t.true(wide.includes('#0072b2') && wide.includes('#cc4c00')); // the arms' colours of the figures
});

test('texts are escaped', (t) => {
  const node = { id: 'a', label: '<script>"', sublabel: '&', column: 0, row: 0 };
  t.notRegex(protocolDiagram({ nodes: [node], edges: [] }).wide, /<script/);
});

test('a diagram that contradicts itself is refused', (t) => {
  const [a, b] = [
    { id: 'a', label: 'A', column: 0, row: 0 },
    { id: 'b', label: 'B', column: 1, row: 0 },
  ];
  const wrong: DiagramDescription[] = [
    { nodes: [a, a], edges: [] },
    { nodes: [a, { ...b, column: 0 }], edges: [] },
    {
      nodes: [
        { ...a, row: 1 },
        { ...b, column: 0, rows: 2 },
      ],
      edges: [],
    },
    { nodes: [{ ...a, row: -1 }], edges: [] },
    { nodes: [a, b], edges: [{ from: 'a', to: 'c' }] },
    { nodes: [a, b], edges: [{ from: 'a', to: 'a' }] },
  ];
  for (const bad of wrong) {
    const error = t.throws(() => protocolDiagram(bad), { instanceOf: AlignlabError });
    t.is(error.code, 'OPTION_INVALID');
  }
});
