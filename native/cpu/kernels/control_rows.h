// The control operations that put rows together: DrawRows, RatioInputs, ConservativeInputs.
#pragma once

#include "backend/control_operations.h"
#include "cpu/kernels/rows.h"

namespace alignlab {
namespace {

inline float* RowOf(const Tensor& t, int64_t r) { return t.f32() + r * t.stride; }

inline void DrawRows(void* device, const DrawRowsArgs& a) {
  ForRows(device, a.to.rows, a.to.cols, [&](int64_t i) {
    const RowRing& from = i < a.real_rows ? a.real : a.sim;
    const int64_t age = DrawIndex(a.key, a.purpose, a.step, i, from.size);
    const float* row = from.rows + (from.oldest + age) % from.capacity * from.width;
    float* to = RowOf(a.to, i);
    if (!a.scale) {
      std::memcpy(to, row, size_t(a.to.cols) * 4);
      return;
    }
    for (int64_t c = 0; c < a.to.cols; ++c) to[c] = (row[c] - a.shift[c]) * a.scale[c];
    if (!a.xi) return;
    for (int64_t c = 0; c < a.to.cols; ++c) to[c] += a.noise * a.xi[i * a.to.cols + c];
  });
}

inline void RatioInputs(void* device, const RatioInputsArgs& a) {
  const int64_t each = a.samples + 1, next = a.to.cols - a.states;
  ForRows(device, a.to.rows, a.to.cols, [&](int64_t i) {
    const int64_t transition = i / each, sample = i % each - 1;
    float* to = RowOf(a.to, i);
    std::memcpy(to, RowOf(a.rows, transition), size_t(a.to.cols) * 4);
    const float* xi = a.xi + (transition * a.samples + sample) * a.states;
    if (sample >= 0)
      for (int64_t c = 0; c < a.states; ++c) to[next + c] += xi[c] * a.spread[c];
    for (int64_t c = 0; c < a.to.cols; ++c) to[c] = (to[c] - a.shift[c]) * a.scale[c];
  });
}

inline void ConservativeInputs(void* device, const ConservativeInputsArgs& a) {
  const int64_t states = a.states.cols, actions = a.to.cols - states;
  ForRows(device, a.to.rows, a.to.cols, [&](int64_t i) {
    const int64_t state = i / (3 * a.n), kind = i / a.n % 3;
    float* to = RowOf(a.to, i);
    std::memcpy(to, RowOf(a.states, state), size_t(states) * 4);
    const float* action = RowOf(a.drawn[kind], state * a.n + i % a.n);
    for (int64_t j = 0; j < actions; ++j)
      to[states + j] = kind == 0 ? 2 * action[j] - 1 : action[j];
  });
}

}  // namespace
}  // namespace alignlab
