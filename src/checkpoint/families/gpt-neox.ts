// GPTNeoXConfig (Pythia): layer norms, partial rotary positions, a residual that may be parallel,
// and one query_key_value tensor interleaved (head, 3, head dimension).
import type { ModelShape } from '../shape.js';
import { readRope } from '../rope.js';
import { type CheckpointTensor, rowsOf, vectorOf } from '../slots.js';
import { type Family, evenHeadDim, readActivation, readSize } from './family.js';

/** Row (head, part, k) on disk is row (part, head, k) of the slot. */
const interleaved = (from: string, to: string, shape: ModelShape): CheckpointTensor[] => {
  const { heads, headDim, width, qkvBias } = shape;
  const rows = 3 * heads * headDim;
  const part = heads * headDim;
  const weight = {
    name: `${from}.weight`,
    shape: [rows, width],
    slot: `${to}.weight`,
    view: {
      offset: 0,
      dims: [heads, 3, headDim, width],
      strides: [headDim * width, part * width, width, 1],
    },
  };
  const bias = {
    name: `${from}.bias`,
    shape: [rows],
    slot: `${to}.bias`,
    view: { offset: 0, dims: [heads, 3, headDim], strides: [headDim, part, 1] },
  };
  return qkvBias ? [weight, bias] : [weight];
};

const layerTensors = (shape: ModelShape, layer: number): CheckpointTensor[] => {
  const { width, mlpWidth, outBias } = shape;
  const from = `gpt_neox.layers.${layer}`;
  const to = `layers.${layer}`;
  const norm = (name: string, slot: string) => [
    vectorOf(`${from}.${name}.weight`, `${to}.${slot}.weight`, width),
    vectorOf(`${from}.${name}.bias`, `${to}.${slot}.bias`, width),
  ];
  const linear = (name: string, slot: string, size: readonly [number, number], bias: boolean) => [
    rowsOf(`${from}.${name}.weight`, `${to}.${slot}.weight`, size),
    ...(bias ? [vectorOf(`${from}.${name}.bias`, `${to}.${slot}.bias`, size[0])] : []),
  ];
  return [
    ...norm('input_layernorm', 'norm1'),
    ...interleaved(`${from}.attention.query_key_value`, `${to}.qkv`, shape),
    ...linear('attention.dense', 'out', [width, width], outBias),
    ...norm('post_attention_layernorm', 'norm2'),
    ...linear('mlp.dense_h_to_4h', 'up', [mlpWidth, width], true),
    ...linear('mlp.dense_4h_to_h', 'down', [width, mlpWidth], true),
  ];
};

export const gptNeox: Family = {
  modelType: 'gpt_neox',
  classStem: 'GPTNeoX',
  layersKey: 'num_hidden_layers',
  prefix: 'gpt_neox.',
  headNames: ['embed_out.weight', 'lm_head.weight'],
  ignorable: [/\.attention\.(masked_)?bias$/, /\.rotary_emb\.inv_freq$/, /^v_head\./],
  readShape(config, { scalarOutputs }) {
    const width = readSize(config, 'hidden_size', 'width', 6144);
    const heads = readSize(config, 'num_attention_heads', 'heads', 64);
    const headDim = evenHeadDim(config, 'hidden_size', width, heads);
    const maxPosition = readSize(config, 'max_position_embeddings', 'maxPosition', 2048);
    const attentionBias = config.flag('attention_bias', true);
    const tied = config.flag('tie_word_embeddings', false);
    return {
      vocab: readSize(config, 'vocab_size', 'vocab', 50_432),
      width,
      layers: readSize(config, 'num_hidden_layers', 'layers', 44),
      heads,
      kvHeads: heads,
      headDim,
      mlpWidth: readSize(config, 'intermediate_size', 'mlpWidth', 24_576),
      maxPosition,
      norm: 'layer',
      normEps: config.positive('layer_norm_eps', 1, 1e-5),
      activation: readActivation(config, 'hidden_act', 'gelu', 'plain'),
      ...readRope(config, {
        headDim,
        maxPosition,
        thetaKey: 'rotary_emb_base',
        partial: { key: 'rotary_pct', fallback: 0.25 },
      }),
      learnedPositions: false,
      qkNorm: false,
      qkvBias: attentionBias,
      outBias: attentionBias,
      mlpBias: true,
      parallelResidual: config.flag('use_parallel_residual', true),
      tiedHead: tied || scalarOutputs > 0,
      attentionScale: 1 / Math.sqrt(headDim),
      scalarOutputs,
    };
  },
  backbone: (shape) => [
    rowsOf('gpt_neox.embed_in.weight', 'embed', [shape.vocab, shape.width]),
    ...Array.from({ length: shape.layers }, (_, layer) => layerTensors(shape, layer)).flat(),
    vectorOf('gpt_neox.final_layer_norm.weight', 'final_norm.weight', shape.width),
    vectorOf('gpt_neox.final_layer_norm.bias', 'final_norm.bias', shape.width),
  ],
};
