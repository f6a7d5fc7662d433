// Qwen3Config: RMS norms on each head of q and k, a head dimension of its own.
import { decoderLayout, readDecoderShape } from './decoder.js';
import type { Family } from './family.js';
import { refuseQwenWindow } from './sliding-window.js';

export const qwen3: Family = {
  modelType: 'qwen3',
  classStem: 'Qwen3',
  layersKey: 'num_hidden_layers',
  ...decoderLayout,
  readShape(config, head) {
    const attentionBias = config.flag('attention_bias', false);
    const shape = readDecoderShape(
      config,
      { vocab: 151_936, mlpWidth: 22_016, maxPosition: 32_768, kvHeads: 32, headDim: 128 },
      { qkvBias: attentionBias, outBias: attentionBias, mlpBias: false, qkNorm: true },
      head,
    );
    refuseQwenWindow(config, shape.layers, shape.maxPosition);
    return shape;
  },
};
