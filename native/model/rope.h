// Cosines and sines of the rotary embedding, by position; grows to the longest path seen.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/buffer.h"
#include "model/config.h"

namespace alignlab {

class RopeTable {
 public:
  explicit RopeTable(const Backend& backend) : backend_(backend) {}

  // Angles are float(position) * float(inverse frequency) in f32, as transformers computes them.
  void Cover(int64_t positions, const ModelConfig& config) {
    const auto& frequencies = config.inverse_frequencies;
    if (frequencies.empty() || positions <= rows_) return;
    const int64_t rows = std::max(positions, 2 * rows_);  // so that decoding does not grow it often
    std::vector<float> cos, sin;
    for (int64_t p = 0; p < rows; ++p)
      for (float f : frequencies) {
        const float angle = float(p) * f;
        cos.push_back(std::cos(angle));
        sin.push_back(std::sin(angle));
      }
    cos_ = Keep(cos);
    sin_ = Keep(sin);
    rows_ = rows;
  }
  // Of the table once it covers so many positions at once.
  static size_t Bytes(int64_t positions, const ModelConfig& config) {
    return 2 * size_t(positions) * config.inverse_frequencies.size() * sizeof(float);
  }
  const float* cos() const { return cos_.f32(); }
  const float* sin() const { return sin_.f32(); }

 private:
  Buffer Keep(const std::vector<float>& values) const {
    Buffer buffer(backend_, values.size() * 4, "the angles of the rotary embedding");
    backend_.memory.copy_in(backend_.device, buffer.data(), values.data(), buffer.bytes());
    return buffer;
  }

  const Backend& backend_;
  int64_t rows_ = 0;
  Buffer cos_, sin_;  // (rows, rotary_dim / 2)
};

}  // namespace alignlab
