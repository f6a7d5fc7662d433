// What a model family provides, and what families share.
import type { ConfigReader } from '../config-reader.js';
import { type Activation, type ModelShape, limits } from '../shape.js';
import { type CheckpointTensor, rowsOf } from '../slots.js';

export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** Class names in "architectures" begin with it. */
  readonly classStem: string;
  /** Of the number of blocks in config.json. */
  readonly layersKey: string;
  /** Of the backbone's tensors; base-model files leave it out. */
  readonly prefix: string;
  /** Name of the vocabulary head's tensor, and names that other versions use for it. */
  readonly headNames: readonly [string, ...string[]];
  /** Buffers and leftovers that may stand in a file and mean nothing. */
  readonly ignorable: readonly RegExp[];
  readShape(config: ConfigReader, head: HeadSettings): ModelShape;
  /** The backbone's tensors, names with the prefix. */
  backbone(shape: ModelShape): CheckpointTensor[];
}

export interface HeadSettings {
  readonly scalarOutputs: number;
}

/** Sizes under the names and with the defaults of one transformers config class. */
export const readSize = (
  config: ConfigReader,
  key: string,
  limit: keyof typeof limits,
  fallback: number,
): number => config.integer(key, { max: limits[limit] }, fallback);

/** hidden / heads, for families without a head_dim of their own. */
export const evenHeadDim = (config: ConfigReader, key: string, width: number, heads: number) => {
  if (width % heads === 0 && width / heads <= limits.headDim) return width / heads;
  throw config.invalid(
    key,
    `a multiple of the ${heads} heads, with at most ${limits.headDim} values each`,
  );
};

const plainActivations: Readonly<Record<string, Activation>> = {
  gelu: 'gelu-erf',
  gelu_python: 'gelu-erf',
  gelu_new: 'gelu-tanh',
  gelu_fast: 'gelu-tanh', // the tanh formula with sqrt(2 / pi) written to ten digits
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_python_tanh: 'gelu-tanh',
};
const gatedActivations: Readonly<Record<string, Activation>> = {
  silu: 'silu-gated',
  swish: 'silu-gated',
  gelu_new: 'gelu-tanh-gated',
  gelu_fast: 'gelu-tanh-gated',
  gelu_pytorch_tanh: 'gelu-tanh-gated',
  gelu_python_tanh: 'gelu-tanh-gated',
};

export const readActivation = (
  config: ConfigReader,
  key: string,
  fallback: string,
  mlp: 'plain' | 'gated',
): Activation => {
  const name = config.text(key, fallback);
  const known = mlp === 'gated' ? gatedActivations : plainActivations;
  const activation = Object.hasOwn(known, name) ? known[name] : undefined;
  if (activation) return activation;
  throw config.unsupported(
    `"${key}" is "${name}", which is not supported in this family's MLP`,
    `Supported are ${Object.keys(known).join(', ')}.`,
  );
};

/** The embedding, and after the backbone the head of either kind. */
const headTensors = (family: Family, shape: ModelShape): CheckpointTensor[] => [
  ...(shape.tiedHead ? [] : [rowsOf(family.headNames[0], 'head', [shape.vocab, shape.width])]),
  ...(shape.scalarOutputs
    ? [rowsOf('score.weight', 'scalar', [shape.scalarOutputs, shape.width])]
    : []),
];

export const tensorsOf = (family: Family, shape: ModelShape): CheckpointTensor[] => [
  ...family.backbone(shape),
  ...headTensors(family, shape),
];
