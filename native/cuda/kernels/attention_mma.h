// Products of attention on the tensor cores. A warp owns kTiles times 16 successive rows of the
// result; its sums stay in registers as MmaBf16 lays them out: with g = lane / 4, t = lane % 4,
//   s[i][n][2 h + e] is row 16 i + g + 8 h, column 8 n + 2 t + e.
// Each element is one accumulator over 16-wide steps of k, ascending, so its bits depend neither on
// kTiles nor on which row of which warp it is.
#pragma once

#include "cuda/kernels/attention_view.h"

namespace alignlab::cuda {

// s (rows, kColumns) += a[row ..] (rows, kWidth) b (kColumns, kWidth)^T, both in shared memory.
template <int kWidth, int kTiles, int kColumns>
__device__ __forceinline__ void MultiplyRows(const uint16_t* a, int row, const uint16_t* b,
                                             float (&s)[kTiles][kColumns / 8][4]) {
  const int lane = int(threadIdx.x % kWarp);
  ALIGNLAB_UNROLL
  for (int k = 0; k < kWidth / 16; ++k) {
    uint32_t rows[kTiles][4];
    ALIGNLAB_UNROLL
    for (int i = 0; i < kTiles; ++i)
      LoadMatrix4(rows[i],
                  a + Place<uint16_t, kWidth>(row + 16 * i + lane % 16, 2 * k + lane / 16));
    ALIGNLAB_UNROLL
    for (int n = 0; n < kColumns / 16; ++n) {
      uint32_t columns[4];
      LoadMatrix4(columns, b + Place<uint16_t, kWidth>(16 * n + lane / 16 * 8 + lane % 8,
                                                       2 * k + lane / 8 % 2));
      ALIGNLAB_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        MmaBf16(s[i][2 * n], rows[i], columns[0], columns[1]);
        MmaBf16(s[i][2 * n + 1], rows[i], columns[2], columns[3]);
      }
    }
  }
}

// o (rows, kColumns) += p (rows, kDepth), rounded to bf16, times columns [first, first + kColumns)
// of b (kDepth, kWidth).
template <int kWidth, int kTiles, int kDepth, int kColumns>
__device__ __forceinline__ void MultiplyMixed(const float (&p)[kTiles][kDepth / 8][4],
                                              const uint16_t* b, int first,
                                              float (&o)[kTiles][kColumns / 8][4]) {
  const int lane = int(threadIdx.x % kWarp);
  ALIGNLAB_UNROLL
  for (int k = 0; k < kDepth / 16; ++k) {
    uint32_t rows[kTiles][4];
    ALIGNLAB_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      ALIGNLAB_UNROLL
      for (int j = 0; j < 4; ++j) {
        const float(&from)[4] = p[i][2 * k + j / 2];
        rows[i][j] = PackBf16(from[2 * (j % 2)], from[2 * (j % 2) + 1]);
      }
    }
    ALIGNLAB_UNROLL
    for (int n = 0; n < kColumns / 16; ++n) {
      uint32_t columns[4];
      LoadMatrix4Transposed(columns,
                            b + Place<uint16_t, kWidth>(16 * k + lane / 8 % 2 * 8 + lane % 8,
                                                        first / 8 + 2 * n + lane / 16));
      ALIGNLAB_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        MmaBf16(o[i][2 * n], rows[i], columns[0], columns[1]);
        MmaBf16(o[i][2 * n + 1], rows[i], columns[2], columns[3]);
      }
    }
  }
}

}  // namespace alignlab::cuda
