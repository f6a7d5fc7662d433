// How a tile gives its outputs away. An epilogue's Row(r) takes those of row r:
//   One(c, x)           of column c
//   Pair(c, sums, held) of columns c and c + 1, c even; held = Read(c), what it needs from memory
// Pair is called where the epilogue says `pairs`. A row that is kOnlyPairs has no One, and its
// matrix an even number of columns.
#pragma once

#include "cuda/simt.h"

namespace alignlab::cuda {

// Pairs that are read before the first of them is written: what is written may be what is read
// next, as far as a compiler knows, so each pair would wait for the memory by itself.
constexpr int kReadAhead = 8;

// A lane's outputs of a row: sums(j) are those of columns 8 j + 2 (lane % 4) from `col` on and the
// next, j < kPairs. Columns from `cols` on do not exist.
template <int kPairs, class Row, class Sums>
__device__ __forceinline__ void EmitRow(const Row& out, bool pairs, int64_t col, int64_t cols,
                                        const Sums& sums) {
  constexpr int kAhead = kPairs < kReadAhead ? kPairs : kReadAhead;
  static_assert(kPairs % kAhead == 0);
  const int64_t first = col + 2 * (threadIdx.x % 4);
  ALIGNLAB_UNROLL
  for (int start = 0; start < kPairs; start += kAhead) {
    if (pairs && col + 8 * (start + kAhead) <= cols) {
      typename Row::Held held[kAhead];
      ALIGNLAB_UNROLL
      for (int j = 0; j < kAhead; ++j) held[j] = out.Read(first + 8 * (start + j));
      ALIGNLAB_UNROLL
      for (int j = 0; j < kAhead; ++j) out.Pair(first + 8 * (start + j), sums(start + j), held[j]);
      continue;
    }
    ALIGNLAB_UNROLL
    for (int j = start; j < start + kAhead; ++j) {
      const int64_t c = first + 8 * j;
      if (c >= cols) return;
      if constexpr (Row::kOnlyPairs) {
        out.Pair(c, sums(j), out.Read(c));
      } else {
        out.One(c, sums(j).x);
        if (c + 1 < cols) out.One(c + 1, sums(j).y);
      }
    }
  }
}

}  // namespace alignlab::cuda
