// Products of attention in f32, on plain multiply-adds. 128 threads are 8 groups of 16: group y
// owns rows y kR .. y kR + kR - 1 of the result, its thread x the columns x, x + 16, ... of scores
// and columns 64 c + 4 x .. + 3 of what has kWidth columns. Each element is one accumulator, k
// ascending.
#pragma once

#include "cuda/kernels/attention_view.h"

namespace alignlab::cuda {

constexpr int kGroup = 16, kGroups = kAttentionThreads / kGroup;

__device__ inline int ThreadOfGroup() { return int(threadIdx.x % kGroup); }
__device__ inline int GroupOfThread() { return int(threadIdx.x / kGroup); }

// s (rows, 16 kN) += a (rows, kWidth) b (16 kN, kWidth)^T, both in shared memory.
template <int kWidth, int kR, int kN>
__device__ __forceinline__ void MultiplyRows(const float* a, const float* b, float (&s)[kR][kN]) {
  const int x = ThreadOfGroup(), y = GroupOfThread();
  for (int chunk = 0; chunk < kWidth / 4; ++chunk) {
    float4 columns[kN];
    ALIGNLAB_UNROLL
    for (int n = 0; n < kN; ++n)
      columns[n] =
          *reinterpret_cast<const float4*>(b + Place<float, kWidth>(x + kGroup * n, chunk));
    ALIGNLAB_UNROLL
    for (int i = 0; i < kR; ++i) {
      const float4 row =
          *reinterpret_cast<const float4*>(a + Place<float, kWidth>(y * kR + i, chunk));
      ALIGNLAB_UNROLL
      for (int n = 0; n < kN; ++n) {
        float sum = s[i][n];
        sum = Fma(row.x, columns[n].x, sum);
        sum = Fma(row.y, columns[n].y, sum);
        sum = Fma(row.z, columns[n].z, sum);
        s[i][n] = Fma(row.w, columns[n].w, sum);
      }
    }
  }
}

// Scores of a group's rows, kept where all of the group can read them: (8 kR, 16 kN + 4).
template <int kN>
constexpr int kMixedRow = kGroup * kN + 4;

template <int kR, int kN>
__device__ __forceinline__ void KeepRows(const float (&s)[kR][kN], float* to) {
  SyncWarp();
  ALIGNLAB_UNROLL
  for (int i = 0; i < kR; ++i) {
    ALIGNLAB_UNROLL
    for (int n = 0; n < kN; ++n)
      to[(GroupOfThread() * kR + i) * kMixedRow<kN> + ThreadOfGroup() + kGroup * n] = s[i][n];
  }
  SyncWarp();
}

// o (rows, kWidth) += p (rows, 16 kN), as KeepRows left it, times b (16 kN, kWidth).
template <int kWidth, int kR, int kN>
__device__ __forceinline__ void MultiplyMixed(const float* p, const float* b,
                                              float (&o)[kR][kWidth / kGroup]) {
  const int x = ThreadOfGroup(), y = GroupOfThread();
  for (int k = 0; k < kGroup * kN; ++k) {
    float row[kR];
    ALIGNLAB_UNROLL
    for (int i = 0; i < kR; ++i) row[i] = p[(y * kR + i) * kMixedRow<kN> + k];
    ALIGNLAB_UNROLL
    for (int c = 0; c < kWidth / 64; ++c) {
      const float4 columns =
          *reinterpret_cast<const float4*>(b + Place<float, kWidth>(k, kGroup * c + x));
      ALIGNLAB_UNROLL
      for (int i = 0; i < kR; ++i) {
        o[i][4 * c] = Fma(row[i], columns.x, o[i][4 * c]);
        o[i][4 * c + 1] = Fma(row[i], columns.y, o[i][4 * c + 1]);
        o[i][4 * c + 2] = Fma(row[i], columns.z, o[i][4 * c + 2]);
        o[i][4 * c + 3] = Fma(row[i], columns.w, o[i][4 * c + 3]);
      }
    }
  }
}

// A thread's columns of one row, those below head_dim.
template <int kWidth>
__device__ inline void WriteColumns(const float (&o)[kWidth / kGroup], float factor, int head_dim,
                                    float* to) {
  ALIGNLAB_UNROLL
  for (int j = 0; j < kWidth / kGroup; ++j) {
    const int column = j / 4 * 64 + 4 * ThreadOfGroup() + j % 4;
    // + 0 turns -0 into 0: the sign of a sum of zeros is the one trace of keys that are not seen.
    if (column < head_dim) to[column] = o[j] * factor + 0.0f;
  }
}

// The widths that have kernels, and rows a thread for each: registers and shared memory allow no
// more.
constexpr int RowsOfThread(int width) { return width <= 128 ? 4 : 2; }

}  // namespace alignlab::cuda
