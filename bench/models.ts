// Random models of the shapes that are measured, as folders that the engine and its peer both load.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { LanguageModel } from '../src/index.js';

interface Shape {
  readonly dtype: 'F32' | 'BF16';
  readonly config: Readonly<Record<string, string | number | boolean | readonly string[]>>;
}

type Sizes = readonly [width: number, mlp: number, layers: number, heads: number, kvHeads: number];

const decoder = (
  [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, kv]: Sizes,
  vocab_size: number,
) => ({
  ...{ hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, vocab_size },
  ...{ num_key_value_heads: kv, tie_word_embeddings: true, bos_token_id: 1, eos_token_id: 2 },
});
const llama = (sizes: Sizes, vocabulary: number): Shape => ({
  dtype: 'F32',
  config: {
    ...{ model_type: 'llama', architectures: ['LlamaForCausalLM'], max_position_embeddings: 2048 },
    ...decoder(sizes, vocabulary),
  },
});
const qwen = (sizes: Sizes): Shape => ({
  dtype: 'BF16',
  config: {
    ...{ model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'], max_position_embeddings: 4096 },
    ...decoder(sizes, 151_936),
  },
});

/** The shapes of the peer's make_model.py; `tiny` is for trying the bench out. */
const shapes: Readonly<Record<string, Shape>> = {
  tiny: llama([24, 22, 2, 4, 2], 97),
  stories15m: llama([288, 768, 6, 6, 6], 32_000),
  smol135m: llama([576, 1536, 30, 9, 3], 49_152),
  smol360m: llama([960, 2560, 32, 15, 5], 49_152),
  qwen05b: qwen([896, 4864, 24, 14, 2]),
  qwen15b: qwen([1536, 8960, 28, 12, 2]),
  gpt2: {
    dtype: 'F32',
    config: {
      ...{ model_type: 'gpt2', architectures: ['GPT2LMHeadModel'], vocab_size: 50_257 },
      ...{ n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024 },
    },
  },
};
export const shapeNames = Object.keys(shapes);

/** A folder as it is, or the random model of that name, made once. */
export async function modelFolder(name: string, home: string): Promise<string> {
  if (existsSync(path.join(name, 'config.json'))) return path.resolve(name);
  const folder = path.join(home, name);
  if (existsSync(path.join(folder, 'config.json'))) return folder;
  const shape = shapes[name];
  if (!shape) {
    throw new Error(`${name} is no checkpoint folder, and no shape: ${shapeNames.join(', ')}`);
  }
  await using model = await LanguageModel.create(shape.config, {
    device: 'cpu',
    dtype: shape.dtype === 'F32' ? 'f32' : 'bf16',
    trainable: false,
  });
  await model.save(folder, { dtype: shape.dtype });
  return folder;
}
