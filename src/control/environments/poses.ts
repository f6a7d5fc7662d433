// A rollout as a strip of stick figures, seen from the side.
import { AlignlabError } from '../../errors.js';
import { type Drawing, headingOf, textAt, titleHeight, toSvg } from '../../report/drawing.js';
import { colours } from '../../report/style.js';

/** A limb: from one end to the other along x and z in metres. */
export interface Segment {
  readonly x1: number;
  readonly z1: number;
  readonly x2: number;
  readonly z2: number;
  readonly radius: number;
}

export interface Pose {
  readonly segments: readonly Segment[];
  /** How far the body has come, in metres; figures are drawn relative to it. */
  readonly x: number;
}

export interface TimedPose {
  readonly pose: Pose;
  /** Seconds since the episode began. */
  readonly seconds: number;
}

export interface PoseStripOptions {
  readonly title?: string;
  /** What a reader who does not see the picture is told. */
  readonly alt?: string;
  /** Of the whole strip, in pixels. Default 900. */
  readonly width?: number;
}

const margin = 12;
const caption = 34;

const two = (value: number): string => String(Math.round(value * 100) / 100 + 0);

const extent = (poses: readonly TimedPose[]): { half: number; top: number; bottom: number } => {
  let [half, top, bottom] = [0.2, 0.2, 0];
  for (const { pose } of poses) {
    for (const { x1, x2, z1, z2, radius } of pose.segments) {
      half = Math.max(half, Math.abs(x1 - pose.x) + radius, Math.abs(x2 - pose.x) + radius);
      top = Math.max(top, z1 + radius, z2 + radius);
      bottom = Math.min(bottom, z1 - radius, z2 - radius);
    }
  }
  return { half, top, bottom };
};

const figure = ({ pose }: TimedPose, middle: number, ground: number, scale: number): string =>
  pose.segments
    .map(({ x1, z1, x2, z2, radius }) => {
      const x = (value: number): string => two(middle + scale * (value - pose.x));
      const y = (value: number): string => two(ground - scale * value);
      const width = two(Math.max(1.5, 2 * radius * scale));
      return (
        `<line x1="${x(x1)}" y1="${y(z1)}" x2="${x(x2)}" y2="${y(z2)}" stroke-width="${width}" ` +
        `stroke="${colours[0].light}" stroke-opacity="0.75" stroke-linecap="round"/>`
      );
    })
    .join('');

const drawing = (poses: readonly TimedPose[], width: number, title?: string): Drawing => {
  const { half, top, bottom } = extent(poses);
  const cell = (width - 2 * margin) / poses.length;
  const scale = cell / (2 * half * 1.08);
  const head = margin + (title === undefined ? 0 : titleHeight + 4);
  const ground = head + scale * top;
  const floorDepth = scale * -bottom;
  const height = Math.ceil(ground + floorDepth + caption + margin);
  const figures = poses.map((timed, i) => {
    const middle = margin + cell * (i + 0.5);
    const style = 'font-size="11" text-anchor="middle" fill="currentColor"';
    const below = ground + floorDepth;
    return (
      figure(timed, middle, ground, scale) +
      textAt(Math.round(middle), Math.round(below + 16), style, `${timed.seconds.toFixed(2)} s`) +
      textAt(Math.round(middle), Math.round(below + 30), style, `${timed.pose.x.toFixed(2)} m`)
    );
  });
  const floor =
    `<line x1="${margin}" y1="${two(ground)}" x2="${width - margin}" y2="${two(ground)}" ` +
    'stroke="currentColor" stroke-opacity="0.4"/>';
  const heading = title === undefined ? '' : headingOf([title]);
  return { width, height, body: heading + floor + figures.join('') };
};

/** An SVG text that stands alone: the figures side by side, each with its time and distance. */
export const posesToSvg = (
  poses: readonly TimedPose[],
  { title, alt = title ?? 'Poses of a rollout', width = 900 }: PoseStripOptions = {},
): string => {
  if (poses.length === 0) {
    throw new AlignlabError('OPTION_INVALID', 'There are no poses to draw. Give at least one.');
  }
  return toSvg(drawing(poses, width, title), alt);
};
