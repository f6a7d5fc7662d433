// What the attention kernels share: their arguments, where a token of a path is cached, and copies
// to shared memory.
//
// A thread block works on the rows of one tile and one key/value head: row r is head r % group of
// that key/value head's group, of the tile's token r / group. So the heads of a group fill a tile
// together, when one token is decoded, too, and the arithmetic of a row is the same in both.
#pragma once

#include "cuda/attention_tiles.h"
#include "cuda/simt.h"

namespace alignlab::cuda {

constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;
constexpr int kAttentionThreads = 128;
// What one block may have on compute capability 8.9 and 12.0, the least of all.
constexpr size_t kSharedOfBlock = size_t(99) << 10;

// Rows of heads in global memory: head h of row i at data + i * row_stride + h * head_stride.
template <class T>
struct HeadRows {
  const T* data;
  int64_t row_stride;
  int32_t head_stride;
  bool aligned;  // every head of every row begins and ends at a multiple of 16 bytes
};

template <class T>
struct AttentionView {
  const PathSegment* segments;
  const int32_t* pages;
  const AttentionTile* tiles;
  HeadRows<T> q;
  const T* kv;
  int64_t page_stride;
  bool kv_aligned;
  int32_t head_dim, heads, group;
  float scale;
  T* out;
  int64_t out_stride;
  bool out_in_pairs;  // two neighbours can be written at once
  float* lse;
};

template <class T>
struct GradientView {
  AttentionView<T> forward;
  const AttentionTile* tree_tiles;  // TilesByTree; forward.tiles are TilesByCost
  HeadRows<T> d_out;
  const float* dots;  // (T, H) sum_k d_out out
  float *d_q, *d_k, *d_v;
  int64_t d_q_stride, d_k_stride, d_v_stride;
};

// Element 0 of the key that stands at `position` of the path that ends in `segment`; its value is
// kPage * head_dim further on.
template <class T>
__device__ inline int64_t KeyPlace(const AttentionView<T>& v, int32_t segment, int32_t position,
                                   int kv_head) {
  PathSegment s = v.segments[segment];
  while (s.position > position) s = v.segments[s.parent];
  const int32_t token = position - s.position;
  const int64_t page = v.pages[s.first_page + token / int32_t(kPage)];
  return page * v.page_stride +
         (2 * kv_head * kPage + token % int32_t(kPage)) * int64_t(v.head_dim);
}

// The places of keys [first, first + kCount) of the tile's path, -1 from `end` on. One thread a
// key; the block has at least kCount.
template <int kCount, class T>
__device__ inline void FindKeys(const AttentionView<T>& v, const AttentionTile& tile, int kv_head,
                                int32_t first, int32_t end, int64_t* places) {
  const int32_t position = first + int32_t(threadIdx.x);
  if (threadIdx.x < unsigned(kCount))
    places[threadIdx.x] =
        position < end ? KeyPlace(v, tile.segment, position, kv_head) : int64_t(-1);
}

// Shared memory holds rows of kWidth elements, in chunks of 16 bytes. bf16 rows are read by
// ldmatrix, eight rows at one chunk; f32 rows by 8 threads at a time. No two of those may meet in a
// bank: chunks are swizzled where rows are whole multiples of 128 bytes, else rows are padded by a
// chunk.
template <class T>
constexpr int kChunk = 16 / int(sizeof(T));

template <class T, int kWidth>
constexpr bool kSwizzled = sizeof(T) == 2 && kWidth % 64 == 0;

template <class T, int kWidth>
constexpr int kRowElements = kSwizzled<T, kWidth> ? kWidth : kWidth + kChunk<T>;

template <class T, int kWidth>
__device__ inline int Place(int row, int chunk) {
  if constexpr (kSwizzled<T, kWidth>)
    // Apart, so that what differs between lanes is the same for every eighth chunk.
    return row * kWidth + ((chunk & ~7) + ((chunk ^ row) & 7)) * kChunk<T>;
  else
    return row * kRowElements<T, kWidth> + chunk * kChunk<T>;
}

// A chunk whose first `valid` elements are `from`'s (none when <= 0), the others zero.
template <class T>
__device__ inline void CopyChunk(T* to, const T* from, int valid, bool aligned) {
  if (aligned) {
    CopyAsync16(to, from, valid > 0);
    return;
  }
  for (int e = 0; e < kChunk<T>; ++e) to[e] = e < valid ? from[e] : T(0);
}

// kRows keys, or values when `plus` is their distance; zeros where there is none, because 0 times
// what lies there need not be 0.
template <int kWidth, int kRows, int kThreads, class T>
__device__ inline void CopyKeys(const AttentionView<T>& v, const int64_t* places, int64_t plus,
                                T* to) {
  constexpr int kChunks = kWidth / kChunk<T>;
  ALIGNLAB_KEEP_LOOP
  for (unsigned i = threadIdx.x; i < unsigned(kRows * kChunks); i += kThreads) {
    const int row = int(i / kChunks), chunk = int(i % kChunks), column = chunk * kChunk<T>;
    const int64_t place = places[row];
    const int valid = place < 0 ? 0 : v.head_dim - column;
    CopyChunk(to + Place<T, kWidth>(row, chunk), valid > 0 ? v.kv + place + plus + column : v.kv,
              valid, v.kv_aligned);
  }
}

// Rows [first, first + kRows) of a tile, zeros past its last.
template <int kWidth, int kRows, int kThreads, class T>
__device__ inline void CopyRows(const HeadRows<T>& rows, const AttentionTile& tile, int kv_head,
                                int first, int group, int head_dim, T* to) {
  constexpr int kChunks = kWidth / kChunk<T>;
  ALIGNLAB_KEEP_LOOP
  for (unsigned i = threadIdx.x; i < unsigned(kRows * kChunks); i += kThreads) {
    const int row = int(i / kChunks), chunk = int(i % kChunks), column = chunk * kChunk<T>;
    const int token = (first + row) / group, head = kv_head * group + (first + row) % group;
    const int valid = token < tile.count ? head_dim - column : 0;
    const T* from = valid > 0 ? rows.data + (tile.row + token) * rows.row_stride +
                                    int64_t(head) * rows.head_stride + column
                              : rows.data;
    CopyChunk(to + Place<T, kWidth>(row, chunk), from, valid, rows.aligned);
  }
}

// One row's share of a thread, as both kinds of products lay sums out: sums(n, e) is column
// 8 n + 2 (lane % 4) + e. max: of the scores times log2 e; sum: of 2^(score - max) over the row.
template <int kColumns, class Sums>
__device__ __forceinline__ void WriteRow(const AttentionView<uint16_t>& v, int64_t row, int head,
                                         float max, float sum, const Sums& sums) {
  const int lane = int(threadIdx.x % kWarp);
  const float inverse = Divide(1, sum);
  uint16_t* out = v.out + row * v.out_stride + int64_t(head) * v.head_dim;
  ALIGNLAB_UNROLL
  for (int n = 0; n < kColumns / 8; ++n) {
    const int column = 8 * n + 2 * (lane % 4);
    // + 0 turns -0 into 0: the sign of a sum of zeros is the one trace of keys that are not seen.
    const float a = sums(n, 0) * inverse + 0.0f, b = sums(n, 1) * inverse + 0.0f;
    if (v.out_in_pairs && column < v.head_dim) {
      *reinterpret_cast<uint32_t*>(out + column) = PackBf16(a, b);
    } else {
      if (column < v.head_dim) out[column] = Bf16OfFloat(a);
      if (column + 1 < v.head_dim) out[column + 1] = Bf16OfFloat(b);
    }
  }
  if (v.lse && lane % 4 == 0) v.lse[row * v.heads + head] = max * kLn2 + Log(sum);
}

}  // namespace alignlab::cuda
