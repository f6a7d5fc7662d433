// The engine's parameters ("slots") in their fixed order, and how a tensor of a checkpoint maps
// into one of them.
import { type ModelShape, isGated } from './shape.js';

/**
 * matrix: multiplied with (native code keeps it in panels). rows: a table that is looked up,
 * row-major. vector: norms and biases, one row.
 */
export type SlotKind = 'matrix' | 'rows' | 'vector';

export interface Slot {
  readonly name: string;
  readonly kind: SlotKind;
  readonly rows: number;
  readonly cols: number;
}

/**
 * A checkpoint tensor, row-major on disk, seen as `dims`: its element (i0, i1, …) is logical
 * element offset + sum(i * stride) of the slot, counted row-major over the slot's (rows, cols).
 */
export interface View {
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
}

export interface CheckpointTensor {
  /** The name in the Hugging Face layout. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly slot: string;
  readonly view: View;
}

const matrix = (name: string, rows: number, cols: number): Slot => ({
  name,
  kind: 'matrix',
  rows,
  cols,
});
const vector = (name: string, cols: number): Slot => ({ name, kind: 'vector', rows: 1, cols });

/** A weight (out, in) with its bias (out). */
const linear = (name: string, out: number, inputs: number, bias: boolean): Slot[] => [
  matrix(`${name}.weight`, out, inputs),
  ...(bias ? [vector(`${name}.bias`, out)] : []),
];

const layerSlots = (shape: ModelShape, layer: number): Slot[] => {
  const { width, heads, kvHeads, headDim, mlpWidth } = shape;
  const at = (name: string): string => `layers.${layer}.${name}`;
  return [
    ...normSlots(at('norm1'), shape),
    ...linear(at('qkv'), (heads + 2 * kvHeads) * headDim, width, shape.qkvBias),
    ...(shape.qkNorm ? [vector(at('q_norm'), headDim), vector(at('k_norm'), headDim)] : []),
    ...linear(at('out'), width, heads * headDim, shape.outBias),
    ...normSlots(at('norm2'), shape),
    ...linear(at('up'), isGated(shape.activation) ? 2 * mlpWidth : mlpWidth, width, shape.mlpBias),
    ...linear(at('down'), width, mlpWidth, shape.mlpBias),
  ];
};

const normSlots = (name: string, { norm, width }: ModelShape): Slot[] => [
  vector(`${name}.weight`, width),
  ...(norm === 'layer' ? [vector(`${name}.bias`, width)] : []),
];

export const slotsOf = (shape: ModelShape): Slot[] => {
  const { vocab, width, maxPosition, layers, scalarOutputs } = shape;
  return [
    { name: 'embed', kind: shape.tiedHead ? 'matrix' : 'rows', rows: vocab, cols: width },
    ...(shape.learnedPositions
      ? [{ name: 'positions', kind: 'rows', rows: maxPosition, cols: width } as const]
      : []),
    ...Array.from({ length: layers }, (_, layer) => layerSlots(shape, layer)).flat(),
    ...normSlots('final_norm', shape),
    ...(shape.tiedHead ? [] : [matrix('head', vocab, width)]),
    ...(scalarOutputs ? [matrix('scalar', scalarOutputs, width)] : []),
  ];
};

/** Rows `row`, row + 1, … of a slot, as they stand: a weight (rows, cols). */
export const rowsOf = (
  name: string,
  slot: string,
  [rows, cols]: readonly [number, number],
  row = 0,
): CheckpointTensor => ({
  name,
  shape: [rows, cols],
  slot,
  view: { offset: row * cols, dims: [rows, cols], strides: [cols, 1] },
});

/** A vector, or the part of one that begins at `offset`. */
export const vectorOf = (
  name: string,
  slot: string,
  length: number,
  offset = 0,
): CheckpointTensor => ({
  name,
  shape: [length],
  slot,
  view: { offset, dims: [length], strides: [1] },
});

/** A weight stored (in, out), as Conv1D does, into a slot (out, in). */
export const transposeOf = (
  name: string,
  slot: string,
  [inputs, outputs]: readonly [number, number],
): CheckpointTensor => ({
  name,
  shape: [inputs, outputs],
  slot,
  view: { offset: 0, dims: [inputs, outputs], strides: [1, inputs] },
});
