// Elements of tensors and weights as doubles, by the layouts that backend/tensor.h defines.
#pragma once

#include <cstring>

#include "backend/tensor.h"

namespace alignlab::reference {

// Panel width of weights, of the backend under test.
inline int64_t panel_width = 16;

inline float FloatOfBf16(uint16_t h) {
  const uint32_t bits = uint32_t(h) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

// To nearest, ties to even; NaN stays NaN.
inline uint16_t Bf16OfFloat(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if (x != x) return uint16_t((bits >> 16) | 0x40);
  const uint32_t below = bits & 0xffff, half = 0x8000;
  const bool up = below > half || (below == half && (bits >> 16 & 1));
  return uint16_t((bits >> 16) + up);
}

inline double Value(const Tensor& t, int64_t row, int64_t col) {
  const int64_t i = row * t.stride + col;
  return t.dtype == DType::kF32 ? t.f32()[i] : FloatOfBf16(t.bf16()[i]);
}

inline void SetValue(const Tensor& t, int64_t row, int64_t col, double value) {
  const int64_t i = row * t.stride + col;
  if (t.dtype == DType::kF32)
    t.f32()[i] = float(value);
  else
    t.bf16()[i] = Bf16OfFloat(float(value));
}

inline int64_t WeightIndex(const Weight& w, int64_t o, int64_t i, int64_t panel) {
  if (w.dtype == DType::kF32) return ((o / panel) * w.in + i) * panel + o % panel;
  return ((o / panel) * (RoundUp(w.in, 2) / 2) + i / 2) * 2 * panel + (o % panel) * 2 + i % 2;
}

inline double WeightValue(const Weight& w, int64_t o, int64_t i, int64_t panel) {
  const int64_t at = WeightIndex(w, o, i, panel);
  return w.dtype == DType::kF32 ? w.f32()[at] : FloatOfBf16(w.bf16()[at]);
}

}  // namespace alignlab::reference
