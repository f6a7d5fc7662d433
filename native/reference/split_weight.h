// bf16 weights with the bits that rounding leaves over, element by element.
#pragma once

#include <cstring>

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

// Where element (row, col) lies in the bf16 form and in the flat f32 form.
inline int64_t SplitIndex(const SplitWeight& w, int64_t row, int64_t col, int64_t panel) {
  if (!w.panels) return row * w.cols + col;
  return (row / panel * RoundUp(w.cols, 2) / 2 + col / 2) * 2 * panel + row % panel * 2 + col % 2;
}
inline int64_t FlatIndex(const SplitWeight& w, int64_t row, int64_t col, int64_t panel) {
  return w.panels ? (row / panel * w.cols + col) * panel + row % panel : row * w.cols + col;
}

inline void SplitWeights(const float* flat, SplitWeight to, int64_t panel = panel_width) {
  for (int64_t row = 0; row < to.rows; ++row)
    for (int64_t col = 0; col < to.cols; ++col) {
      uint32_t bits;
      std::memcpy(&bits, &flat[FlatIndex(to, row, col, panel)], 4);
      const uint32_t high = (bits + 0x8000) >> 16;
      const int64_t at = SplitIndex(to, row, col, panel);
      to.high[at] = uint16_t(high);
      if (to.low) to.low[at] = uint16_t(bits - (high << 16));
    }
}

inline void JoinWeights(SplitWeight from, float* flat, int64_t panel = panel_width) {
  for (int64_t row = 0; row < from.rows; ++row)
    for (int64_t col = 0; col < from.cols; ++col) {
      const int64_t at = SplitIndex(from, row, col, panel);
      const int32_t low = from.low ? int16_t(from.low[at]) : 0;
      const uint32_t bits = (uint32_t(from.high[at]) << 16) + uint32_t(low);
      std::memcpy(&flat[FlatIndex(from, row, col, panel)], &bits, 4);
    }
}

}  // namespace alignlab::reference
