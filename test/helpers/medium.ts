// A model that is large enough for its work to take a while: 6.5 million parameters.
export const medium = {
  model_type: 'llama',
  hidden_size: 256,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  num_hidden_layers: 6,
  intermediate_size: 704,
  vocab_size: 8000,
  max_position_embeddings: 2048,
  tie_word_embeddings: true,
};

export const large = {
  ...medium,
  hidden_size: 384,
  num_attention_heads: 6,
  num_key_value_heads: 6,
  num_hidden_layers: 8,
  intermediate_size: 1024,
  vocab_size: 16_000,
};

export const mediumText = (length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => (i * 7919) % 8000);
