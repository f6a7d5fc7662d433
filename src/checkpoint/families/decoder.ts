// The layout that llama, mistral, qwen2 and qwen3 share: RMS norms, rotary positions, separate
// q, k, v and a gated MLP. Each of them is a file of its own with its keys and defaults.
import type { ConfigReader } from '../config-reader.js';
import { readRope } from '../rope.js';
import { type ModelShape, limits } from '../shape.js';
import { type CheckpointTensor, rowsOf, vectorOf } from '../slots.js';
import { type HeadSettings, evenHeadDim, readActivation, readSize } from './family.js';

export interface DecoderDefaults {
  readonly vocab: number;
  readonly mlpWidth: number;
  readonly maxPosition: number;
  /** Key/value heads when the key is absent; null: as many as heads. */
  readonly kvHeads: number | null;
  /** Head dimension when the key is absent; null: hidden / heads. */
  readonly headDim: number | null;
}

export interface DecoderFlags {
  readonly qkvBias: boolean;
  readonly outBias: boolean;
  readonly mlpBias: boolean;
  readonly qkNorm: boolean;
}

const readHeads = (config: ConfigReader, defaults: DecoderDefaults, width: number) => {
  const heads = readSize(config, 'num_attention_heads', 'heads', 32);
  const absent = config.get('num_key_value_heads') === undefined;
  const kvHeads =
    config.optionalInteger('num_key_value_heads', { max: limits.heads }) ??
    (absent ? (defaults.kvHeads ?? heads) : heads);
  if (heads % kvHeads !== 0) {
    throw config.invalid('num_key_value_heads', `a divisor of the ${heads} attention heads`);
  }
  const headDim =
    config.optionalInteger('head_dim', { max: limits.headDim }) ??
    defaults.headDim ??
    evenHeadDim(config, 'hidden_size', width, heads);
  return { heads, kvHeads, headDim };
};

export const readDecoderShape = (
  config: ConfigReader,
  defaults: DecoderDefaults,
  flags: DecoderFlags,
  { scalarOutputs }: HeadSettings,
): ModelShape => {
  const width = readSize(config, 'hidden_size', 'width', 4096);
  const { heads, kvHeads, headDim } = readHeads(config, defaults, width);
  const maxPosition = readSize(
    config,
    'max_position_embeddings',
    'maxPosition',
    defaults.maxPosition,
  );
  const tied = config.flag('tie_word_embeddings', false);
  return {
    vocab: readSize(config, 'vocab_size', 'vocab', defaults.vocab),
    width,
    layers: readSize(config, 'num_hidden_layers', 'layers', 32),
    heads,
    kvHeads,
    headDim,
    mlpWidth: readSize(config, 'intermediate_size', 'mlpWidth', defaults.mlpWidth),
    maxPosition,
    norm: 'rms',
    normEps: config.positive('rms_norm_eps', 1, 1e-6),
    activation: readActivation(config, 'hidden_act', 'silu', 'gated'),
    ...readRope(config, { headDim, maxPosition, thetaKey: 'rope_theta' }),
    learnedPositions: false,
    ...flags,
    parallelResidual: false,
    tiedHead: tied || scalarOutputs > 0,
    attentionScale: 1 / Math.sqrt(headDim),
    scalarOutputs,
  };
};

/** A weight with its bias, as rows `row`, row + 1, … of slot `slot`. */
const linear = (
  name: string,
  slot: string,
  size: readonly [number, number],
  bias: boolean,
  row = 0,
): CheckpointTensor[] => [
  rowsOf(`${name}.weight`, `${slot}.weight`, size, row),
  ...(bias ? [vectorOf(`${name}.bias`, `${slot}.bias`, size[0], row)] : []),
];

const layerTensors = (shape: ModelShape, layer: number): CheckpointTensor[] => {
  const { width, heads, kvHeads, headDim, mlpWidth, qkvBias, outBias, mlpBias } = shape;
  const from = `model.layers.${layer}`;
  const to = `layers.${layer}`;
  const queries = heads * headDim;
  const keys = kvHeads * headDim;
  const qkv = `${to}.qkv`;
  return [
    vectorOf(`${from}.input_layernorm.weight`, `${to}.norm1.weight`, width),
    ...linear(`${from}.self_attn.q_proj`, qkv, [queries, width], qkvBias),
    ...linear(`${from}.self_attn.k_proj`, qkv, [keys, width], qkvBias, queries),
    ...linear(`${from}.self_attn.v_proj`, qkv, [keys, width], qkvBias, queries + keys),
    ...(shape.qkNorm
      ? [
          vectorOf(`${from}.self_attn.q_norm.weight`, `${to}.q_norm`, headDim),
          vectorOf(`${from}.self_attn.k_norm.weight`, `${to}.k_norm`, headDim),
        ]
      : []),
    ...linear(`${from}.self_attn.o_proj`, `${to}.out`, [width, queries], outBias),
    vectorOf(`${from}.post_attention_layernorm.weight`, `${to}.norm2.weight`, width),
    ...linear(`${from}.mlp.gate_proj`, `${to}.up`, [mlpWidth, width], mlpBias),
    ...linear(`${from}.mlp.up_proj`, `${to}.up`, [mlpWidth, width], mlpBias, mlpWidth),
    ...linear(`${from}.mlp.down_proj`, `${to}.down`, [width, mlpWidth], mlpBias),
  ];
};

/** What the four families have in common besides their shape. */
export const decoderLayout = {
  prefix: 'model.',
  headNames: ['lm_head.weight'],
  ignorable: [/\.rotary_emb\.inv_freq$/, /^v_head\./],
  backbone: (shape: ModelShape): CheckpointTensor[] => [
    rowsOf('model.embed_tokens.weight', 'embed', [shape.vocab, shape.width]),
    ...Array.from({ length: shape.layers }, (_, layer) => layerTensors(shape, layer)).flat(),
    vectorOf('model.norm.weight', 'final_norm.weight', shape.width),
  ],
} as const;
