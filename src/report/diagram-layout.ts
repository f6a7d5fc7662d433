// Where the boxes of a diagram stand and how its arrows run. All in two directions: `u` along the
// columns, `v` across them; the drawing turns them into x and y, or into y and x on narrow pages.
import type { DiagramEdge, DiagramNode, Side } from './diagram.js';
import { spread } from './layout.js';

export interface Box {
  readonly node: DiagramNode;
  readonly u: readonly [start: number, end: number];
  readonly v: readonly [start: number, end: number];
}

export type Place = readonly [u: number, v: number];

export interface Tracks {
  /** Start and end of each column along u, of each row along v. */
  readonly columns: readonly (readonly [number, number])[];
  readonly rows: readonly (readonly [number, number])[];
}

const laneDistance = 14;
const portDistance = 14;

/** Tracks of the sizes, one behind the other. */
export const tracksOf = (
  sizes: readonly number[],
  gap: number,
  start: number,
): (readonly [number, number])[] => {
  let at = start;
  return sizes.map((size) => {
    const track = [at, at + size] as const;
    at += size + gap;
    return track;
  });
};

export const boxOf = (node: DiagramNode, { columns, rows }: Tracks): Box => {
  const { column, row, rows: count = 1 } = node;
  return { node, u: columns[column]!, v: [rows[row]![0], rows[row + count - 1]![1]] };
};

export const centre = ([start, end]: readonly [number, number]): number => (start + end) / 2;

export const sidesOf = (edge: DiagramEdge, from: Box, to: Box): { leave: Side; enter: Side } => {
  const within = from.node.column === to.node.column;
  const down = from.v[0] < to.v[0];
  const { leave = within ? (down ? 'below' : 'above') : 'after' } = edge;
  const { enter = within ? (down ? 'above' : 'below') : 'before' } = edge;
  return { leave, enter };
};

const isAcross = (side: Side): boolean => side === 'above' || side === 'below';

/** A place on the side of a box; `at` is its coordinate along the side. */
const onSide = ({ u, v }: Box, side: Side, at: number): Place => {
  if (isAcross(side)) return [at, side === 'above' ? v[0] : v[1]];
  return [side === 'before' ? u[0] : u[1], at];
};

interface Arrival {
  readonly edge: DiagramEdge;
  readonly from: Box;
  readonly leave: Side;
}

/** Where along its side an arrow would like to end: straight from where it comes. */
const wish = ({ from, leave }: Arrival, to: Box, enter: Side): number => {
  if (isAcross(enter)) {
    // Arrows from farther away come in farther off, so that they do not cross the nearer ones.
    const distance = to.node.column - from.node.column;
    return centre(to.u) + (isAcross(leave) ? distance : Math.sign(distance)) * 0.1;
  }
  const [start, end] = [to.v[0] + portDistance, to.v[1] - portDistance];
  const aim = isAcross(leave) ? centre(to.v) : centre(from.v);
  return Math.min(Math.max(aim, start), end);
};

/** Ends of all arrows that enter a box by one side, apart from one another. */
const portsOf = (arrivals: readonly Arrival[], to: Box, enter: Side): Map<DiagramEdge, number> => {
  const [start, end] = isAcross(enter) ? to.u : to.v;
  const labels = arrivals.map((arrival) => ({
    at: wish(arrival, to, enter) - start,
    size: portDistance,
  }));
  // `spread` keeps the first label in place and moves the others: half the way back keeps the middle.
  const places = spread(labels, end - start);
  const moved = labels.reduce((sum, { at }, i) => sum + places[i]! - at, 0) / (labels.length || 1);
  const shift = isAcross(enter) ? moved : 0;
  return new Map(arrivals.map(({ edge }, i) => [edge, start + places[i]! - shift]));
};

export interface Arrow {
  readonly edge: DiagramEdge;
  readonly points: readonly Place[];
  /** Runs outside of the grid for a part of its way. */
  readonly lane: boolean;
}

interface Ends {
  readonly from: Box;
  readonly to: Box;
  readonly leave: Side;
  readonly enter: Side;
}

/** Whether a box stands between the two columns in the row. */
const blocked = ({ from, to }: Ends, at: number, boxes: readonly Box[]): boolean =>
  boxes.some(
    ({ node, v }) =>
      node.column > from.node.column && node.column < to.node.column && v[0] <= at && v[1] >= at,
  );

const between = (ends: Ends, start: Place, end: Place, bend: number, boxes: readonly Box[]) => {
  if (isAcross(ends.leave)) {
    const middle = (start[1] + end[1]) / 2;
    return [
      [start[0], middle],
      [end[0], middle],
    ] as const;
  }
  const late = !blocked(ends, start[1], boxes);
  const middle = late ? end[0] - bend : start[0] + bend;
  return [
    [middle, start[1]],
    [middle, end[1]],
  ] as const;
};

const cornersOf = (
  ends: Ends,
  [start, end]: readonly [Place, Place],
  bend: number,
  boxes: readonly Box[],
): { corners: readonly Place[]; lane: boolean } => {
  const { leave, enter } = ends;
  if (leave === enter) {
    const outermost = isAcross(leave)
      ? leave === 'above'
        ? Math.min(...boxes.map(({ v }) => v[0])) - laneDistance
        : Math.max(...boxes.map(({ v }) => v[1])) + laneDistance
      : leave === 'before'
        ? Math.min(start[0], end[0]) - laneDistance
        : Math.max(start[0], end[0]) + laneDistance;
    const lane = (place: Place): Place =>
      isAcross(leave) ? [place[0], outermost] : [outermost, place[1]];
    return { corners: [lane(start), lane(end)], lane: true };
  }
  if (isAcross(leave) !== isAcross(enter)) {
    const corner: Place = isAcross(leave) ? [start[0], end[1]] : [end[0], start[1]];
    return { corners: [corner], lane: false };
  }
  const straight = isAcross(leave) ? start[0] === end[0] : start[1] === end[1];
  return { corners: straight ? [] : between(ends, start, end, bend, boxes), lane: false };
};

/**
 * Arrows as polylines. Those that leave a box by one side share their beginning; `bend` is the
 * distance of a corner from the column where the arrow ends.
 */
export const routesOf = (
  edges: readonly DiagramEdge[],
  boxes: readonly Box[],
  bend: number,
): Arrow[] => {
  const byId = new Map(boxes.map((box) => [box.node.id, box]));
  const endsOf = (edge: DiagramEdge): Ends => {
    const [from, to] = [byId.get(edge.from)!, byId.get(edge.to)!];
    return { from, to, ...sidesOf(edge, from, to) };
  };
  return edges.map((edge) => {
    const ends = endsOf(edge);
    const { from, to, leave, enter } = ends;
    const arrivals = edges
      .map((other) => ({ edge: other, ...endsOf(other) }))
      .filter((other) => other.to === to && other.enter === enter);
    const start = onSide(from, leave, centre(isAcross(leave) ? from.u : from.v));
    const end = onSide(to, enter, portsOf(arrivals, to, enter).get(edge)!);
    const { corners, lane } = cornersOf(ends, [start, end], bend, boxes);
    return { edge, points: [start, ...corners, end], lane };
  });
};
