// The config.json of a llama of about a given size.
import { type JsonObject, show } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';

export interface ModelSize {
  /** Tokens of the tokenizer. */
  readonly vocabulary: number;
  /** Parameters to come near to, embeddings included. */
  readonly parameters: number;
  /** Longest sequence. Default 128. */
  readonly positions?: number;
}

export interface SizedConfig {
  /** What stands in config.json. */
  readonly config: JsonObject;
  /** Parameters that a model of it has; embeddings are tied and count once. */
  readonly parameters: number;
}

interface Shape {
  readonly width: number;
  readonly layers: number;
  readonly headSize: number;
  readonly inner: number;
}

const count = ({ width, layers, inner }: Shape, vocabulary: number): number => {
  const layer = 4 * width * width + 3 * width * inner + 2 * width;
  return vocabulary * width + layers * layer + width;
};

const headSizeOf = (width: number): number => {
  if (width % 64 === 0 && width >= 512) return 64;
  return width % 32 === 0 && width >= 128 ? 32 : 16;
};

/** Layers of a model of some width: between 32 and 64 units of width a layer, at least 2. */
const layersOf = (width: number): number =>
  width <= 512 ? Math.max(2, Math.round(width / 40)) : Math.round(6 + width / 80);

const shapeOf = (width: number, layers: number): Shape => ({
  width,
  layers,
  headSize: headSizeOf(width),
  inner: 16 * Math.round(width / 6), // 8/3 of the width, in multiples of 16
});

/**
 * The llama whose number of parameters is nearest: width in steps of 16, depth growing with it.
 * Throws OPTION_INVALID where the smallest has more than twice as many.
 */
export const modelConfigOf = ({
  vocabulary,
  parameters,
  positions = 128,
}: ModelSize): SizedConfig => {
  if (!(Number.isSafeInteger(vocabulary) && vocabulary >= 1)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `vocabulary must be from 1, got ${show(vocabulary)}.`,
    );
  }
  const shapes = Array.from({ length: 256 }, (_, i) => {
    const width = 16 * (i + 1);
    return shapeOf(width, layersOf(width));
  });
  const distance = (shape: Shape): number =>
    Math.abs(Math.log(count(shape, vocabulary) / parameters));
  const best = shapes.reduce((a, b) => (distance(b) < distance(a) ? b : a));
  if (!(parameters > 0) || distance(best) > Math.log(2)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `No model of a vocabulary of ${vocabulary} has about ${show(parameters)} parameters; ` +
        `they have from ${count(shapes[0]!, vocabulary)} to ${count(shapes.at(-1)!, vocabulary)}.`,
    );
  }
  const { width, layers, headSize, inner } = best;
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: vocabulary,
    hidden_size: width,
    num_hidden_layers: layers,
    num_attention_heads: width / headSize,
    num_key_value_heads: width / headSize,
    head_dim: headSize,
    intermediate_size: inner,
    hidden_act: 'silu',
    max_position_embeddings: positions,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    // 0.02 at a width of 768, as GPT-2; narrower models hardly attend to anything from there.
    initializer_range: Number((0.55 / Math.sqrt(width)).toFixed(4)),
    bos_token_id: 0,
    eos_token_id: 1,
  };
  return { config, parameters: count(best, vocabulary) };
};
