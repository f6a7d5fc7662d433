// What the attention kernels for Hopper do with a warpgroup's 64 rows: their fragments in
// registers, their products with blocks of 64 rows of kWidth elements in shared memory. Such a
// block is, for every 64 elements of its rows, a box of 64 lines.
#pragma once

#include "cuda/kernels/hopper_keys.h"

namespace alignlab::cuda {

constexpr int kTerms = 16;  // of one product

// Of the two rows that a thread has sums of: sums 4 j + 2 h + e are row h, column
// 8 j + 2 (thread % 4) + e.
__device__ __forceinline__ int RowOfThread(int h) {
  return int(threadIdx.x) % kWarpgroup / kWarp * 16 + int(threadIdx.x) % kWarp / 4 + 8 * h;
}

// From the tile's row `first` on, as the operand of products; past the tile's last they are zero.
template <int kWidth>
__device__ __forceinline__ void LoadRows(const HeadRows<uint16_t>& rows, const TilePart& part,
                                         int first, uint32_t (&to)[kWidth / kTerms][4]) {
  ALIGNLAB_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int row = first + RowOfThread(h), token = row / part.group;
    const int head = part.kv_head * part.group + row % part.group;
    const bool inside = token < part.tile.count;
    const uint16_t* from = rows.data + 2 * (threadIdx.x % 4);
    if (inside)
      from += (part.tile.row + token) * rows.row_stride + int64_t(head) * rows.head_stride;
    ALIGNLAB_UNROLL
    for (int i = 0; i < kWidth / 8; ++i)
      to[i / 2][h + 2 * (i % 2)] = inside ? *reinterpret_cast<const uint32_t*>(from + 8 * i) : 0u;
  }
}

// The scores of keys of a block that rows do not see: those after position sees[h].
__device__ __forceinline__ void MaskKeys(float (&s)[kKeyBlock / 2], const int32_t (&sees)[2],
                                         int32_t block) {
  ALIGNLAB_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int32_t seen = sees[h] - block * kKeyBlock - 2 * int(threadIdx.x % 4);
    ALIGNLAB_UNROLL
    for (int i = 2 * h; i < kKeyBlock / 2; i += 4) {
      if (2 * i - 4 * h > seen) s[i] = -kInfinity;
      if (2 * i - 4 * h + 1 > seen) s[i + 1] = -kInfinity;
    }
  }
}

// s, rounded, as the operand of a product over its columns.
__device__ __forceinline__ void PackRows(const float (&s)[kKeyBlock / 2],
                                         uint32_t (&to)[kKeyBlock / kTerms][4]) {
  ALIGNLAB_UNROLL
  for (int i = 0; i < kKeyBlock / 4; ++i) to[i / 4][i % 4] = PackBf16(s[2 * i], s[2 * i + 1]);
}

// The descriptor of a later piece: the distance, in units of 16 bytes, is added to the address,
// which stays inside its bits, so without a carry that would cost instructions.
__device__ __forceinline__ uint64_t Further(uint64_t matrix, int bytes) {
  return matrix >> 32 << 32 | (uint32_t(matrix) + uint32_t(bytes / 16));
}
// Where terms from k on of the rows of a block begin.
__device__ __forceinline__ uint64_t AlongRows(uint64_t block, int k) {
  return Further(block, k / kBoxCols * kColumnBytes + k % kBoxCols * int(sizeof(uint16_t)));
}

// Groups of products: s = rows B^T, B a block.
template <int kWidth>
__device__ __forceinline__ void StartScores(float (&s)[kKeyBlock / 2],
                                            const uint32_t (&rows)[kWidth / kTerms][4],
                                            const char* block) {
  const uint64_t first = SharedMatrix(block, 16, 8 * kBoxLine);
  OpenProducts();
  ALIGNLAB_UNROLL
  for (int k = 0; k < kWidth; k += kTerms)
    MultiplyWarpgroup<false>(s, rows[k / kTerms], AlongRows(first, k), k > 0);
  CommitProducts();
}
// The same, the rows themselves a block.
template <int kWidth>
__device__ __forceinline__ void StartScores(float (&s)[kKeyBlock / 2], const char* rows,
                                            const char* block) {
  const uint64_t a = SharedMatrix(rows, 16, 8 * kBoxLine);
  const uint64_t b = SharedMatrix(block, 16, 8 * kBoxLine);
  OpenProducts();
  ALIGNLAB_UNROLL
  for (int k = 0; k < kWidth; k += kTerms)
    MultiplyWarpgroup<false, false>(s, AlongRows(a, k), AlongRows(b, k), k > 0);
  CommitProducts();
}
// o = P B, or added to o.
template <int kWidth>
__device__ __forceinline__ void StartMixed(float (&o)[kWidth / 2],
                                           const uint32_t (&p)[kKeyBlock / kTerms][4],
                                           const char* block, bool add) {
  const uint64_t first = SharedMatrix(block, kColumnBytes, 8 * kBoxLine);
  OpenProducts();
  ALIGNLAB_UNROLL
  for (int k = 0; k < kKeyBlock; k += kTerms)
    MultiplyWarpgroup<true>(o, p[k / kTerms], Further(first, k * kBoxLine), add || k > 0);
  CommitProducts();
}

// A thread's share of row h of `sums`, times `factor`, to a row of f32 that pairs can be written
// to.
template <int kWidth>
__device__ __forceinline__ void WriteSums(const float (&sums)[kWidth / 2], int h, float factor,
                                          float* row) {
  ALIGNLAB_UNROLL
  for (int j = 0; j < kWidth / 8; ++j) {
    const float2 pair = {sums[4 * j + 2 * h] * factor, sums[4 * j + 2 * h + 1] * factor};
    *reinterpret_cast<float2*>(row + 8 * j + 2 * (threadIdx.x % 4)) = pair;
  }
}

}  // namespace alignlab::cuda
