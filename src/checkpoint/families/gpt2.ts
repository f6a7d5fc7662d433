// GPT2Config: learned positions, layer norms, and weights stored (in, out) by Conv1D.
import { limits } from '../shape.js';
import type { ModelShape } from '../shape.js';
import { type CheckpointTensor, rowsOf, transposeOf, vectorOf } from '../slots.js';
import { type Family, evenHeadDim, readActivation, readSize } from './family.js';

const layerTensors = ({ width, mlpWidth }: ModelShape, layer: number): CheckpointTensor[] => {
  const from = `transformer.h.${layer}`;
  const to = `layers.${layer}`;
  const pair = (name: string, slot: string, size: readonly [number, number]) => [
    transposeOf(`${from}.${name}.weight`, `${to}.${slot}.weight`, size),
    vectorOf(`${from}.${name}.bias`, `${to}.${slot}.bias`, size[1]),
  ];
  const norm = (name: string, slot: string) => [
    vectorOf(`${from}.${name}.weight`, `${to}.${slot}.weight`, width),
    vectorOf(`${from}.${name}.bias`, `${to}.${slot}.bias`, width),
  ];
  return [
    ...norm('ln_1', 'norm1'),
    ...pair('attn.c_attn', 'qkv', [width, 3 * width]),
    ...pair('attn.c_proj', 'out', [width, width]),
    ...norm('ln_2', 'norm2'),
    ...pair('mlp.c_fc', 'up', [width, mlpWidth]),
    ...pair('mlp.c_proj', 'down', [mlpWidth, width]),
  ];
};

export const gpt2: Family = {
  modelType: 'gpt2',
  classStem: 'GPT2',
  layersKey: 'n_layer',
  prefix: 'transformer.',
  headNames: ['lm_head.weight'],
  ignorable: [/(^|\.)h\.\d+\.attn\.(masked_)?bias$/, /^v_head\./],
  readShape(config, { scalarOutputs }) {
    if (config.flag('scale_attn_by_inverse_layer_idx', false)) {
      throw config.unsupported(
        '"scale_attn_by_inverse_layer_idx" is not supported',
        'Choose a checkpoint that was trained without it.',
      );
    }
    const width = readSize(config, 'n_embd', 'width', 768);
    const heads = readSize(config, 'n_head', 'heads', 12);
    const headDim = evenHeadDim(config, 'n_embd', width, heads);
    const scaled = config.flag('scale_attn_weights', true);
    const tied = config.flag('tie_word_embeddings', true);
    return {
      vocab: readSize(config, 'vocab_size', 'vocab', 50_257),
      width,
      layers: readSize(config, 'n_layer', 'layers', 12),
      heads,
      kvHeads: heads,
      headDim,
      mlpWidth: config.optionalInteger('n_inner', { max: limits.mlpWidth }) ?? 4 * width,
      maxPosition: readSize(config, 'n_positions', 'maxPosition', 1024),
      norm: 'layer',
      normEps: config.positive('layer_norm_epsilon', 1, 1e-5),
      activation: readActivation(config, 'activation_function', 'gelu_new', 'plain'),
      rotaryDim: 0,
      inverseFrequencies: new Float32Array(),
      learnedPositions: true,
      qkNorm: false,
      qkvBias: true,
      outBias: true,
      mlpBias: true,
      parallelResidual: false,
      tiedHead: tied || scalarOutputs > 0,
      attentionScale: scaled ? 1 / Math.sqrt(headDim) : 1,
      scalarOutputs,
    };
  },
  backbone: (shape) => [
    rowsOf('transformer.wte.weight', 'embed', [shape.vocab, shape.width]),
    rowsOf('transformer.wpe.weight', 'positions', [shape.maxPosition, shape.width]),
    ...Array.from({ length: shape.layers }, (_, layer) => layerTensors(shape, layer)).flat(),
    vectorOf('transformer.ln_f.weight', 'final_norm.weight', shape.width),
    vectorOf('transformer.ln_f.bias', 'final_norm.bias', shape.width),
  ],
};
