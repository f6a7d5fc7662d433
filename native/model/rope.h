// Cosines and sines of the rotary embedding, by position; grows to the longest path seen.
#pragma once

#include <cmath>
#include <vector>

#include "model/config.h"

namespace alignlab {

class RopeTable {
 public:
  // Angles are float(position) * float(inverse frequency) in f32, as transformers computes them.
  void Cover(int64_t positions, const ModelConfig& config) {
    const auto& frequencies = config.inverse_frequencies;
    const int64_t have = frequencies.empty() ? positions : rows_;
    for (int64_t p = have; p < positions; ++p)
      for (float f : frequencies) {
        const float angle = float(p) * f;
        cos_.push_back(std::cos(angle));
        sin_.push_back(std::sin(angle));
      }
    if (positions > rows_) rows_ = positions;
  }
  const float* cos() const { return cos_.data(); }
  const float* sin() const { return sin_.data(); }

 private:
  int64_t rows_ = 0;
  std::vector<float> cos_, sin_;  // (rows, rotary_dim / 2)
};

}  // namespace alignlab
