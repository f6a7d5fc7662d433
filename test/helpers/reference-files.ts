// Reference values and real files lie in ../shared (or where ALIGNLAB_GOLDENS says), which not
// every checkout has. Continuous integration must have them. Elsewhere, tests that compare with
// them are skipped aloud, and those that only need some checkpoint of a family get a random one.
import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';

export const shared = resolve('../shared');
export const goldens = resolve(process.env.ALIGNLAB_GOLDENS ?? join(shared, 'goldens'));

export const haveShared = existsSync(shared);
const asked = process.env.CI !== undefined || process.env.ALIGNLAB_GOLDENS !== undefined;
if (asked && !(haveShared && existsSync(join(goldens, 'models')))) {
  throw new Error(`The reference files are missing: ${shared} and ${goldens}/models must exist.`);
}

/** `test`, or `test.skip` where the reference files are not there. */
export const referenceTest = haveShared ? test : test.skip;

const decoder = {
  hidden_size: 64,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  intermediate_size: 160,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
};
const neox = {
  model_type: 'gpt_neox',
  hidden_size: 64,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  intermediate_size: 128,
  partial_rotary_factor: 0.25,
  tie_word_embeddings: false,
};
const llama3 = {
  rope_type: 'llama3',
  factor: 4,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 32,
};
/** The shapes of the reference models: vocabulary 320, 128 positions. */
const configs: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama: { model_type: 'llama', ...decoder, tie_word_embeddings: false },
  'llama-tied': { model_type: 'llama', ...decoder },
  'llama3-rope': { model_type: 'llama', ...decoder, rope_scaling: llama3 },
  mistral: { model_type: 'mistral', ...decoder, tie_word_embeddings: false, sliding_window: null },
  qwen2: { model_type: 'qwen2', ...decoder },
  qwen3: { model_type: 'qwen3', ...decoder, head_dim: 24 },
  gpt2: {
    model_type: 'gpt2',
    n_embd: 64,
    n_head: 4,
    n_layer: 2,
    n_positions: 128,
    tie_word_embeddings: true,
  },
  gpt_neox: neox,
  'gpt_neox-sequential': { ...neox, partial_rotary_factor: 0.5, use_parallel_residual: false },
};
// Large enough that next-token distributions are far from uniform.
const spread = { vocab_size: 320, max_position_embeddings: 128, initializer_range: 0.2 };

const standIns = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-models-'));
  process.on('exit', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const ids = JSON.stringify({ bos_token_id: 1, eos_token_id: 2 });
  for (const [name, config] of Object.entries(configs)) {
    await using model = await LanguageModel.create({ ...spread, ...config });
    await model.save(join(folder, name));
    await writeFile(join(folder, name, 'generation_config.json'), ids);
  }
  const options = { scalarHead: 1 };
  await using reward = await LanguageModel.load(join(folder, 'llama-tied'), options);
  await reward.save(join(folder, 'reward'));
  return folder;
};

const made = haveShared ? null : await standIns();

/**
 * A checkpoint of a family; one of nine. Not affected by ALIGNLAB_GOLDENS, since tests rely on
 * the sizes.
 */
export const golden = (name: string): string =>
  join(made ?? join(shared, 'goldens', 'models'), name);

/** A checkpoint with one scalar output. */
export const rewardModel = made
  ? join(made, 'reward')
  : join(shared, 'goldens', 'trl', 'reward-start');

/** All reference checkpoints, of the folder that ALIGNLAB_GOLDENS names. */
export const goldenModelsFolder = made ?? join(goldens, 'models');
