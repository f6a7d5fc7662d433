// MistralConfig: llama without biases, with a sliding window unless it is switched off.
import { decoderLayout, readDecoderShape } from './decoder.js';
import type { Family } from './family.js';
import { refuseMistralWindow } from './sliding-window.js';

export const mistral: Family = {
  modelType: 'mistral',
  classStem: 'Mistral',
  layersKey: 'num_hidden_layers',
  ...decoderLayout,
  readShape(config, head) {
    const shape = readDecoderShape(
      config,
      { vocab: 32_000, mlpWidth: 14_336, maxPosition: 4096 * 32, kvHeads: 8, headDim: null },
      { qkvBias: false, outBias: false, mlpBias: false, qkNorm: false },
      head,
    );
    refuseMistralWindow(config, shape.maxPosition);
    return shape;
  },
};
