// Qwen2Config: biases on q, k, v always, on the output projection never.
import { decoderLayout, readDecoderShape } from './decoder.js';
import type { Family } from './family.js';
import { refuseQwenWindow } from './sliding-window.js';

export const qwen2: Family = {
  modelType: 'qwen2',
  classStem: 'Qwen2',
  layersKey: 'num_hidden_layers',
  ...decoderLayout,
  readShape(config, head) {
    const shape = readDecoderShape(
      config,
      { vocab: 151_936, mlpWidth: 22_016, maxPosition: 32_768, kvHeads: 32, headDim: null },
      { qkvBias: true, outBias: false, mlpBias: false, qkNorm: false },
      head,
    );
    refuseQwenWindow(config, shape.layers, shape.maxPosition);
    return shape;
  },
};
