// The sizes and choices that make a transformer of any supported family; filled from config.json
// by src/checkpoint/, which has checked them.
#pragma once

#include <vector>

#include "backend/backend.h"

namespace alignlab {

struct ModelConfig {
  int64_t vocab = 0, width = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, mlp_width = 0;
  int64_t max_position = 0;
  NormKind norm = NormKind::kRms;
  float norm_eps = 1e-6f;
  Activation activation = Activation::kSiluGated;
  int64_t rotary_dim = 0;                  // 0: no rotation
  std::vector<float> inverse_frequencies;  // rotary_dim / 2 radians per position
  bool learned_positions = false;          // GPT-2
  bool qk_norm = false;                    // Qwen3
  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  bool parallel_residual = false;  // GPT-NeoX: x + attention(norm1 x) + mlp(norm2 x)
  bool tied_head = false;
  float attention_scale = 1;
  int64_t scalar_outputs = 0;  // of a reward or value head; 0: none

  int64_t qkv_width() const { return (heads + 2 * kv_heads) * head_dim; }
  int64_t attention_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
  int64_t up_width() const { return IsGated(activation) ? 2 * mlp_width : mlp_width; }
};

}  // namespace alignlab
