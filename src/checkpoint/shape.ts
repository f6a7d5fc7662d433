// What the engine needs to know about a model: numbers, read from config.json by a family.

export type Norm = 'rms' | 'layer';
export type Activation = 'silu-gated' | 'gelu-tanh' | 'gelu-erf' | 'gelu-tanh-gated';

export const isGated = (activation: Activation): boolean => activation.endsWith('-gated');

export interface ModelShape {
  readonly vocab: number; // V
  readonly width: number; // D
  readonly layers: number;
  readonly heads: number; // H
  readonly kvHeads: number; // G, divides H
  readonly headDim: number; // K; H K need not be D
  readonly mlpWidth: number; // F
  readonly maxPosition: number;
  readonly norm: Norm;
  readonly normEps: number;
  readonly activation: Activation;
  /** The first rotaryDim values of each head are rotated; 0 for learned positions. Even. */
  readonly rotaryDim: number;
  /** Radians per position, f32 as transformers computes them. (rotaryDim / 2) */
  readonly inverseFrequencies: Float32Array;
  readonly learnedPositions: boolean;
  readonly qkNorm: boolean;
  readonly qkvBias: boolean;
  readonly outBias: boolean;
  readonly mlpBias: boolean;
  /** x + attention(norm1(x)) + mlp(norm2(x)) rather than one after the other. */
  readonly parallelResidual: boolean;
  /** The vocabulary head is the embedding. Also true for scalar heads, which have no head of V. */
  readonly tiedHead: boolean;
  readonly attentionScale: number;
  /** Outputs of a …ForSequenceClassification head, else 0. */
  readonly scalarOutputs: number;
}

/**
 * Bounds on every size in a config.json. They leave room for any model that this engine can hold
 * and keep each product of two or three sizes far below 2^53.
 */
export const limits = {
  vocab: 2 ** 22,
  width: 2 ** 17,
  layers: 1024,
  heads: 1024,
  headDim: 1024,
  mlpWidth: 2 ** 20,
  maxPosition: 2 ** 21,
  scalarOutputs: 2 ** 16,
} as const;
