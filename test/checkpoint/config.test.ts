// config.json to the model's description: every family, both spellings, and what is refused.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { describeModel } from '../../src/checkpoint/config.js';
import type { ModelShape } from '../../src/checkpoint/shape.js';
import {
  type Config,
  assertError,
  caught,
  familyNames,
  goldenModels,
  smallConfig,
} from './helpers.js';
import type { ErrorCode } from '../../src/errors.js';

const shapeOf = (config: Config): ModelShape => describeModel(config, 'config.json').shape;

test('every reference config is read', async (t) => {
  for (const folder of await goldenModels()) {
    const text = await readFile(join(folder, 'config.json'), 'utf8');
    const config = JSON.parse(text) as Config;
    const shape = shapeOf(config);
    t.is<unknown, unknown>(shape.vocab, config.vocab_size);
    t.is<unknown, unknown>(shape.layers, config.n_layer ?? config.num_hidden_layers);
    t.is(shape.inverseFrequencies.length, shape.rotaryDim / 2);
    t.is<unknown, unknown>(shape.tiedHead, config.tie_word_embeddings);
  }
});

// The defaults of each transformers (5.18) config class, for files that leave keys out.
const defaults: Readonly<Record<string, Partial<ModelShape>>> = {
  llama: { vocab: 32000, width: 4096, layers: 32, heads: 32, kvHeads: 32, headDim: 128 },
  mistral: { vocab: 32000, mlpWidth: 14336, kvHeads: 8, headDim: 128, maxPosition: 131072 },
  qwen2: { vocab: 151936, mlpWidth: 22016, kvHeads: 32, maxPosition: 32768, qkvBias: true },
  qwen3: { vocab: 151936, headDim: 128, qkNorm: true, qkvBias: false, outBias: false },
  gpt2: { vocab: 50257, width: 768, layers: 12, heads: 12, mlpWidth: 3072, tiedHead: true },
  gpt_neox: { vocab: 50432, width: 6144, layers: 44, heads: 64, headDim: 96, rotaryDim: 24 },
};

test('absent keys mean what they mean in transformers', (t) => {
  t.deepEqual(Object.keys(defaults).sort(), [...familyNames].sort());
  for (const [family, expected] of Object.entries(defaults)) {
    const config = { model_type: family, ...(family === 'mistral' && { sliding_window: null }) };
    const shape = shapeOf(config);
    for (const [key, value] of Object.entries(expected)) {
      t.is(shape[key as keyof ModelShape], value, `${family} ${key}`);
    }
    t.is(shape.tiedHead, family === 'gpt2', family);
    t.is(shape.normEps, family.startsWith('gpt') ? 1e-5 : 1e-6, family);
  }
});

const variants: readonly [family: string, changes: Config, expected: Partial<ModelShape>][] = [
  ['llama', { head_dim: null, hidden_size: 16 }, { headDim: 4 }],
  ['llama', { num_key_value_heads: null }, { kvHeads: 4 }],
  ['mistral', { num_key_value_heads: null }, { kvHeads: 4 }],
  ['llama', { attention_bias: true }, { qkvBias: true, outBias: true, mlpBias: false }],
  ['llama', { mlp_bias: true }, { qkvBias: false, mlpBias: true }],
  ['qwen2', { attention_bias: false }, { qkvBias: true, outBias: false }],
  ['qwen3', { attention_bias: true }, { qkvBias: true, outBias: true }],
  ['llama', { hidden_act: 'gelu_pytorch_tanh' }, { activation: 'gelu-tanh-gated' }],
  ['llama', { hidden_act: 'swish' }, { activation: 'silu-gated' }],
  ['llama', { pretraining_tp: null }, {}],
  ['llama', { attention_dropout: 0.1 }, {}],
  ['llama', { tie_word_embeddings: true }, { tiedHead: true }],
  ['mistral', { sliding_window: 32 }, { maxPosition: 32 }],
  ['mistral', { sliding_window: 4096 }, { maxPosition: 32 }],
  ['qwen2', { use_sliding_window: false, sliding_window: 4 }, {}],
  ['qwen2', { use_sliding_window: true, sliding_window: 4, max_window_layers: 2 }, {}],
  ['qwen2', { use_sliding_window: true, sliding_window: 32, max_window_layers: 0 }, {}],
  ['qwen3', { layer_types: ['full_attention', 'full_attention'] }, {}],
  ['gpt2', { n_inner: null }, { mlpWidth: 48 }],
  ['gpt2', { n_inner: 20 }, { mlpWidth: 20 }],
  ['gpt2', { resid_pdrop: 0.1, reorder_and_upcast_attn: true }, {}],
  ['gpt2', { tie_word_embeddings: false }, { tiedHead: false }],
  ['gpt2', { scale_attn_weights: false }, { attentionScale: 1 }],
  ['gpt2', { activation_function: 'gelu' }, { activation: 'gelu-erf' }],
  ['gpt2', { activation_function: 'gelu_fast' }, { activation: 'gelu-tanh' }],
  ['gpt_neox', { attention_bias: false }, { qkvBias: false, outBias: false, mlpBias: true }],
  ['gpt_neox', { use_parallel_residual: false }, { parallelResidual: false }],
  ['gpt_neox', { rotary_pct: 1 }, { rotaryDim: 4 }],
  ['gpt_neox', { rotary_pct: 0.25 }, { rotaryDim: 2 }],
  ['gpt_neox', { rotary_pct: 0.2 }, { rotaryDim: 0 }],
  ['gpt_neox', { hidden_size: 36, rotary_pct: 0.25 }, { rotaryDim: 4 }],
  ['gpt_neox', { rotary_pct: 0.5, partial_rotary_factor: 0.5 }, { rotaryDim: 2 }],
  ['llama', { architectures: ['LlamaForSequenceClassification'] }, { scalarOutputs: 2 }],
  [
    'llama',
    { architectures: ['LlamaForSequenceClassification'], id2label: { 0: 'LABEL_0' } },
    { scalarOutputs: 1, tiedHead: true },
  ],
  [
    'gpt2',
    { architectures: ['GPT2ForSequenceClassification'], num_labels: 3 },
    { scalarOutputs: 3 },
  ],
  ['gpt2', { architectures: ['GPT2LMHeadModel'] }, { scalarOutputs: 0 }],
  ['gpt_neox', { architectures: ['GPTNeoXForCausalLM'], torch_dtype: 'float16' }, {}],
  ['llama', { quantization_config: null, num_experts: 0, pruned_heads: {} }, {}],
];

for (const [family, changes, expected] of variants) {
  test(`${family} with ${JSON.stringify(changes)}`, (t) => {
    const shape = shapeOf(smallConfig(family, changes));
    for (const [key, value] of Object.entries(expected)) {
      t.is(shape[key as keyof ModelShape], value, key);
    }
    t.pass();
  });
}

const unsupported: readonly [family: string, changes: Config, says: string][] = [
  ['llama', { model_type: 'mixtral' }, 'llama, mistral, qwen2, qwen3, gpt2, gpt_neox'],
  ['llama', { model_type: 'toString' }, '"toString"'],
  ['llama', { pretraining_tp: 2 }, 'pretraining_tp'],
  ['llama', { hidden_act: 'relu' }, '"hidden_act" is "relu"'],
  ['llama', { hidden_act: 'constructor' }, '"constructor"'],
  ['gpt2', { activation_function: 'silu' }, '"activation_function" is "silu"'],
  ['mistral', { sliding_window: 31 }, 'sliding-window'],
  ['mistral', { sliding_window: undefined, max_position_embeddings: 32768 }, '4096 by default'],
  ['qwen2', { use_sliding_window: true, sliding_window: 4, max_window_layers: 1 }, '1 of 2'],
  ['qwen3', { layer_types: ['full_attention', 'sliding_attention'] }, '"sliding_attention"'],
  ['llama', { quantization_config: { quant_method: 'gptq' } }, 'quantization_config'],
  ['qwen3', { num_experts: 8 }, 'mixture of experts'],
  ['mistral', { num_local_experts: 8 }, 'mixture of experts'],
  ['llama', { final_logit_softcapping: 30 }, 'soft-capping'],
  ['llama', { attn_logit_softcapping: 50 }, 'soft-capping'],
  ['gpt2', { scale_attn_by_inverse_layer_idx: true }, 'scale_attn_by_inverse_layer_idx'],
  ['gpt2', { add_cross_attention: true }, 'cross-attention'],
  ['llama', { architectures: ['LlamaForTokenClassification'] }, 'LlamaForCausalLM'],
  ['llama', { architectures: ['Qwen2ForCausalLM'] }, '"Qwen2ForCausalLM"'],
  ['llama', { rope_scaling: { type: 'yarn', factor: 4 } }, '"yarn"'],
  ['llama', { rope_scaling: { type: 'dynamic', factor: 4 } }, '"dynamic"'],
  ['llama', { rope_parameters: { rope_type: 'longrope', rope_theta: 1e4 } }, '"longrope"'],
  [
    'llama',
    { rope_scaling: { type: 'linear', factor: 2, attention_factor: 2 } },
    'attention_factor',
  ],
  ['llama', { partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
  ['llama', { head_dim: 5 }, 'heads of 5 values'],
];

const invalid: readonly [family: string, changes: Config, says: string][] = [
  ['llama', { model_type: undefined }, '"model_type" is absent'],
  ['llama', { model_type: 7 }, '"model_type" is 7'],
  ['llama', { hidden_size: '64' }, '"hidden_size" is "64"'],
  ['llama', { hidden_size: 0 }, 'from 1 to'],
  ['llama', { hidden_size: -4 }, 'from 1 to'],
  ['llama', { hidden_size: 12.5 }, '12.5'],
  ['llama', { hidden_size: null }, 'null'],
  ['llama', { hidden_size: 1e15 }, '131072'],
  ['llama', { vocab_size: 1e12 }, '"vocab_size"'],
  ['llama', { num_hidden_layers: 1e9 }, '1024'],
  ['llama', { max_position_embeddings: 1e18 }, '"max_position_embeddings"'],
  ['llama', { intermediate_size: [10] }, '[10]'],
  ['llama', { num_key_value_heads: 3 }, 'a divisor of the 4'],
  ['llama', { num_key_value_heads: 8 }, 'a divisor of the 4'],
  ['llama', { head_dim: 0 }, '"head_dim"'],
  ['llama', { head_dim: null, hidden_size: 10 }, 'a multiple of the 4'],
  ['qwen3', { head_dim: 4096 }, '1024'],
  ['gpt2', { n_head: 5 }, 'a multiple of the 5'],
  ['gpt_neox', { hidden_size: 13 }, 'a multiple of the 3'],
  ['llama', { rms_norm_eps: 0 }, 'above 0'],
  ['llama', { rms_norm_eps: -1e-6 }, 'above 0'],
  ['llama', { rms_norm_eps: '1e-6' }, '"1e-6"'],
  ['llama', { tie_word_embeddings: 'yes' }, 'true or false'],
  ['llama', { attention_bias: 1 }, 'true or false'],
  ['llama', { architectures: 'LlamaForCausalLM' }, 'a list'],
  ['llama', { rope_theta: 0 }, '"rope_theta"'],
  ['llama', { rope_theta: 0.5 }, 'from 1 to'],
  ['llama', { rope_scaling: { type: 'linear', factor: 0.5 } }, '"factor" is 0.5'],
  ['llama', { rope_scaling: 4 }, 'an object'],
  ['llama', { rope_scaling: { factor: 4 } }, '"factor"'],
  ['llama', { rope_scaling: { type: 'linear' } }, '"factor" is absent'],
  ['llama', { rope_scaling: { type: 'linear', factor: -1 } }, '"factor" is -1'],
  ['llama', { rope_scaling: { type: 'llama3', factor: 4 } }, '"low_freq_factor" is absent'],
  [
    'llama',
    { rope_scaling: { type: 'llama3', factor: 4, low_freq_factor: 4, high_freq_factor: 4 } },
    'above low_freq_factor',
  ],
  ['llama', { rope_theta: 1e4, rope_parameters: { rope_theta: 2e4 } }, '20000'],
  ['gpt_neox', { rotary_emb_base: 1e4, rope_theta: 2e4 }, '20000'],
  ['gpt_neox', { rotary_pct: 0 }, 'above 0'],
  ['gpt_neox', { rotary_pct: 1.5 }, 'at most 1'],
  ['qwen3', { layer_types: ['full_attention'] }, 'a list of 2'],
  ['llama', { torch_dtype: 16 }, '"torch_dtype" is 16'],
  [
    'llama',
    { architectures: ['LlamaForSequenceClassification'], num_labels: 2, id2label: { 0: 'a' } },
    '"num_labels"',
  ],
];

const refusals: readonly [ErrorCode, typeof invalid][] = [
  ['FAMILY_UNSUPPORTED', unsupported],
  ['CONFIG_INVALID', invalid],
];
for (const [code, cases] of refusals) {
  for (const [family, changes, says] of cases) {
    test(`${code}: ${family} with ${JSON.stringify(changes)}`, async (t) => {
      const config = JSON.parse(JSON.stringify(smallConfig(family, changes))) as Config;
      const error = await caught(() => describeModel(config, 'some/config.json'));
      assertError(t, error, code, 'some/config.json', says);
    });
  }
}

// Computed by transformers 5.18 and torch 2.13 (CPU): LlamaRotaryEmbedding(config).inv_freq, and
// GPTNeoXRotaryEmbedding for the last, printed with every digit of f32.
const frequencies: readonly [name: string, config: Config, expected: readonly number[]][] = [
  [
    'default, theta 500000',
    smallConfig('llama', { head_dim: 16, rope_theta: 500000 }),
    [
      1.0, 0.193922758102417, 0.03760603070259094, 0.00729266507551074, 0.001414213445968926,
      0.00027424818836152554, 5.3182957344688475e-5, 1.0313385246263351e-5,
    ],
  ],
  [
    'linear, factor 3',
    smallConfig('llama', { head_dim: 16, rope_scaling: { type: 'linear', factor: 3 } }),
    [
      0.3333333432674408, 0.10540925711393356, 0.03333333507180214, 0.010540925897657871,
      0.003333333181217313, 0.0010540926596149802, 0.0003333333588670939, 0.0001054092645063065,
    ],
  ],
  [
    'llama3, factor 4, 32 positions',
    smallConfig('llama', {
      head_dim: 16,
      rope_parameters: {
        rope_type: 'llama3',
        rope_theta: 10000,
        factor: 4,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 32,
      },
    }),
    [
      1.0, 0.1273239552974701, 0.02500000037252903, 0.007905694656074047, 0.0024999999441206455,
      0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-5,
    ],
  ],
  [
    'llama3 as in Llama 3.2 1B',
    smallConfig('llama', {
      head_dim: 64,
      max_position_embeddings: 131072,
      rope_theta: 500000,
      rope_scaling: {
        rope_type: 'llama3',
        factor: 32,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
    }),
    [
      1.0, 0.663601279258728, 0.44036662578582764, 0.2922278344631195, 0.193922758102417,
      0.12868738174438477, 0.08539710193872452, 0.05666961893439293, 0.03760603070259094,
      0.02495540864765644, 0.016560440883040428, 0.010989529080688953, 0.00729266507551074,
      0.00483942124992609, 0.0032114461064338684, 0.0012905480107292533, 0.000429556705057621,
      9.708286233944818e-5, 1.9461638657958247e-5, 1.291476746700937e-5, 8.570255886297673e-6,
      5.687232260243036e-6, 3.7740544485131977e-6, 2.504467147446121e-6, 1.6619674170215148e-6,
      1.1028836297555245e-6, 7.318749339901842e-7, 4.856731266045244e-7, 3.2229328894572973e-7,
      2.1387423032592778e-7, 1.4192720243499934e-7, 9.418306490260875e-8,
    ],
  ],
  [
    'gpt_neox, half a head of 16, base 25000',
    smallConfig('gpt_neox', {
      hidden_size: 64,
      num_attention_heads: 4,
      rotary_pct: 0.5,
      rotary_emb_base: 25000,
    }),
    [1.0, 0.07952707260847092, 0.006324555724859238, 0.0005029733292758465],
  ],
  [
    'gpt_neox, 3 of 12 values, which rotates 4',
    smallConfig('gpt_neox', { hidden_size: 36, num_attention_heads: 3, rotary_pct: 0.25 }),
    [1.0, 0.002154434332624078],
  ],
];

for (const [name, config, expected] of frequencies) {
  test(`inverse frequencies: ${name}`, (t) => {
    const { inverseFrequencies, rotaryDim } = shapeOf(config);
    t.is(rotaryDim, 2 * expected.length);
    expected.forEach((value, i) => {
      const found = inverseFrequencies[i] ?? NaN;
      // Two units in the last place of f32: torch's vectorised pow may be one off, and llama3 adds
      // two roundings of its own.
      t.true(Math.abs(found - value) <= 2 ** -22 * value, `${i}: ${found} for ${value}`);
    });
  });
}

test('both spellings of the rope settings mean the same', (t) => {
  const factors = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 16,
  };
  const spellings: Config[] = [
    { rope_theta: 5e4, rope_scaling: { type: 'llama3', ...factors } },
    { rope_theta: 5e4, rope_scaling: { rope_type: 'llama3', type: 'default', ...factors } },
    { rope_parameters: { rope_type: 'llama3', rope_theta: 5e4, ...factors } },
    { rope_theta: 5e4, rope_parameters: { rope_type: 'llama3', rope_theta: 5e4, ...factors } },
    { rope_parameters: { full_attention: { rope_type: 'llama3', rope_theta: 5e4, ...factors } } },
    {
      rope_scaling: { type: 'llama3', rope_theta: 5e4, ...factors },
      rope_parameters: { rope_type: 'default', rope_theta: 1e4 },
    },
  ];
  const [first, ...others] = spellings.map(
    (spelling) => shapeOf(smallConfig('llama', spelling)).inverseFrequencies,
  );
  t.notDeepEqual(first, shapeOf(smallConfig('llama', { rope_theta: 5e4 })).inverseFrequencies);
  for (const other of others) t.deepEqual(other, first);
});

test('keys of Object.prototype are not settings', (t) => {
  const config = JSON.parse('{"model_type":"llama","__proto__":{"vocab_size":5}}') as Config;
  t.is(shapeOf(config).vocab, 32000);
});
