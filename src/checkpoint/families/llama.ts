// LlamaConfig: one flag for the biases of q, k, v and o, one for the MLP's.
import { decoderLayout, readDecoderShape } from './decoder.js';
import type { Family } from './family.js';

export const llama: Family = {
  modelType: 'llama',
  classStem: 'Llama',
  layersKey: 'num_hidden_layers',
  ...decoderLayout,
  readShape(config, head) {
    const parallel = config.get('pretraining_tp') ?? 1;
    if (parallel !== 1) {
      throw config.unsupported(
        `"pretraining_tp" is ${JSON.stringify(parallel)}: split matrix products are not supported`,
        'Set it to 1; the weights are the same.',
      );
    }
    const attentionBias = config.flag('attention_bias', false);
    return readDecoderShape(
      config,
      { vocab: 32_000, mlpWidth: 11_008, maxPosition: 2048, kvHeads: null, headDim: null },
      {
        qkvBias: attentionBias,
        outBias: attentionBias,
        mlpBias: config.flag('mlp_bias', false),
        qkNorm: false,
      },
      head,
    );
  },
};
