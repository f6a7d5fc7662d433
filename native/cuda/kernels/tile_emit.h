// How a tile gives its outputs away. An epilogue's Row(r) takes those of row r:
//   One(c, x)           of column c
//   Pair(c, sums, held) of columns c and c + 1, c even; held = Read(c), what it needs from memory
// Pair is called where the epilogue says `pairs`; one that has no One takes whole pairs only.
// kAhead pairs are read before the first of them is written: what is written may be what is read
// next, as far as a compiler knows, so each pair would wait for the memory by itself.
#pragma once

#include "cuda/simt.h"

namespace alignlab::cuda {

// A lane's outputs of a row: sums(j) are those of columns 8 j + 2 (lane % 4) from `col` on and the
// next, j < kPairs. Columns from `cols` on do not exist.
template <int kPairs, class Row, class Sums>
__device__ __forceinline__ void EmitRow(const Row& out, bool pairs, int64_t col, int64_t cols,
                                        const Sums& sums) {
  constexpr int kAhead = kPairs < Row::kAhead ? kPairs : Row::kAhead;
  static_assert(kPairs % kAhead == 0);
  const int64_t first = col + 2 * (threadIdx.x % 4), rest = cols - first;
  const int left = rest < 8 * kPairs ? int(rest) : 8 * kPairs;
  ALIGNLAB_UNROLL
  for (int start = 0; start < kPairs; start += kAhead) {
    typename Row::Held held[kAhead];
    ALIGNLAB_UNROLL
    for (int j = 0; j < kAhead; ++j) {
      const int at = 8 * (start + j);
      if (pairs && at + 1 < left) held[j] = out.Read(first + at);
    }
    ALIGNLAB_UNROLL
    for (int j = 0; j < kAhead; ++j) {
      const int at = 8 * (start + j);
      if (pairs && at + 1 < left) {
        out.Pair(first + at, sums(start + j), held[j]);
      } else if constexpr (requires { out.One(first, 0.0f); }) {
        if (at < left) out.One(first + at, sums(start + j).x);
        if (at + 1 < left) out.One(first + at + 1, sums(start + j).y);
      }
    }
  }
}

}  // namespace alignlab::cuda
