// Transposition of a matrix of floats: the step between row-major tokens and panels of 16 tokens.
#pragma once

#include "cpu/kernels/simd.h"
#include "cpu/kernels/tile_pack.h"

namespace alignlab {
namespace {

// dst[c * dst_row + r] = src[r * src_row + c] for 16 rows and columns, or the first `rows` and
// `cols` of them. Nothing else is read or written.
inline void TransposeBlock(const float* src, int64_t src_row, int rows, int cols, float* dst,
                           int64_t dst_row) {
  Vec m[kLanes];
  if (rows == kLanes && cols == kLanes) {
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) m[r] = Load(src + r * src_row);
    Transpose16(m);
#pragma GCC unroll 16
    for (int c = 0; c < kLanes; ++c) Store(dst + c * dst_row, m[c]);
    return;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) m[r] = r < rows ? LoadPartial(src + r * src_row, cols) : Zero();
  Transpose16(m);
#pragma GCC unroll 16
  for (int c = 0; c < kLanes; ++c)
    if (c < cols) StorePartial(dst + c * dst_row, m[c], rows);
}

inline void Transpose(const float* src, int64_t src_row, int64_t rows, int64_t cols, float* dst,
                      int64_t dst_row) {
  for (int64_t r = 0; r < rows; r += kLanes)
    for (int64_t c = 0; c < cols; c += kLanes)
      TransposeBlock(src + r * src_row + c, src_row, int(rows - r < kLanes ? rows - r : kLanes),
                     int(cols - c < kLanes ? cols - c : kLanes), dst + c * dst_row + r, dst_row);
}

}  // namespace
}  // namespace alignlab
