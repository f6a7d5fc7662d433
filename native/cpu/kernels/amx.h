// Matrix products of bf16 on the tile unit of Intel processors (AMX): an instruction adds the
// products of 16 rows and 16 columns over 32 of k. For each such 32 the products of even and of odd
// k are summed apart and both sums are added to C, so an element's bits depend on its own row of A
// and its own column of B, and on k being cut at multiples of 32 from its start; nothing else.
#pragma once

#include "cpu/kernels/linear_task.h"

namespace alignlab {
namespace {

// A tile is 1 KB, 16 rows of 64 bytes. Of A: 32 of k of 16 rows. Of B: 16 steps (pairs of k) of 16
// columns, which is how panels hold them. Of C: 16 x 16 sums.
constexpr int kAmxRows = 16;
constexpr int64_t kAmxDepth = 32, kAmxSteps = 16, kAmxTile = 256;  // floats
constexpr int64_t kAmxCallRows = 2 * kAmxRows;                     // of a call, at most

// The tile registers of this thread, all of 16 rows of 64 bytes, for as long as this lives: the
// system need not save them afterwards.
class TileUnit {
 public:
  TileUnit() {
    struct alignas(64) Config {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  ~TileUnit() { asm volatile("tilerelease"); }
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;
};

// The compiler's intrinsics take the register as a literal and say nothing of the memory read.
template <int kTile>
ALIGNLAB_INLINE void TileZero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}
template <int kTile>
ALIGNLAB_INLINE void TileLoad(const float* from, int64_t row) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(row * 4), "i"(kTile) : "memory");
}
template <int kTile>
ALIGNLAB_INLINE void TileStore(float* to, int64_t row) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(row * 4), "i"(kTile) : "memory");
}
template <int kC, int kA, int kB>
ALIGNLAB_INLINE void TileMultiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
}

// One C of up to 2 tiles of rows by up to 2 panels, or 1 by up to 4.
struct AmxCall {
  const float* a;  // tile t of row tile i at a + i * a_tile + t * 256
  int64_t a_tile;
  const float* b;  // tile t of panel j at b + j * b_vec + t * 256
  int64_t b_vec, depth;
  const float* b_tail;  // one more tile of k, of panel j at b_tail + j * 256; null: none
  float* c;             // row r of panel j at c + r * c_row + j * c_vec
  int64_t c_row, c_vec;
  bool load;                 // start from c, else from zero
  const Epilogue* epilogue;  // null: the sums go to c, else to its y, with panels side by side
};

// Register of C's tile (i, j); A's are 4 and 5, B's 6 and 7.
template <int V>
constexpr int AmxC(int i, int j) {
  return i * V + j;
}

template <int R, int V, int J = 0>
ALIGNLAB_INLINE void AmxColumns(const float* b, int64_t b_vec) {
  TileLoad<6 + J % 2>(b + J * b_vec, kAmxSteps);
  TileMultiply<AmxC<V>(0, J), 4, 6 + J % 2>();
  if constexpr (R == 2) TileMultiply<AmxC<V>(1, J), 5, 6 + J % 2>();
  if constexpr (J + 1 < V) AmxColumns<R, V, J + 1>(b, b_vec);
}

template <int R, int V>
ALIGNLAB_INLINE void AmxStep(const float* a, int64_t a_tile, const float* b, int64_t b_vec) {
  TileLoad<4>(a, kAmxSteps);
  if constexpr (R == 2) TileLoad<5>(a + a_tile, kAmxSteps);
  AmxColumns<R, V>(b, b_vec);
}

// Starts (kStart) or ends the sums, tile by tile.
template <int R, int V, bool kStart, int N = 0>
ALIGNLAB_INLINE void AmxSums(const AmxCall& t) {
  float* c = t.c + N / V * kAmxRows * t.c_row + N % V * t.c_vec;
  if constexpr (!kStart) {
    TileStore<N>(c, t.c_row);
  } else if (t.load) {
    TileLoad<N>(c, t.c_row);
  } else {
    TileZero<N>();
  }
  if constexpr (N + 1 < R * V) AmxSums<R, V, kStart, N + 1>(t);
}

template <int R, int V>
void RunAmxKernel(const AmxCall& t) {
  AmxSums<R, V, true>(t);
  const float *a = t.a, *b = t.b;
  const int64_t a_tile = t.a_tile, b_vec = t.b_vec;
  for (int64_t n = 0; n < t.depth; ++n, a += kAmxTile, b += kAmxTile)
    AmxStep<R, V>(a, a_tile, b, b_vec);
  if (t.b_tail) AmxStep<R, V>(a, a_tile, t.b_tail, kAmxTile);
  AmxSums<R, V, false>(t);
}

// How many of `left` panels the next call takes, for so many rows.
inline int NextAmxVecs(int64_t rows, int64_t left) {
  return int(left < 2 ? left : rows > kAmxRows || left < 4 ? 2 : 4);
}

inline void RunAmxTiles(const AmxCall& call, int rows, int vecs) {
  using Fn = void (*)(const AmxCall&);
  static constexpr Fn kOne[] = {RunAmxKernel<1, 1>, RunAmxKernel<1, 2>, nullptr,
                                RunAmxKernel<1, 4>};
  static constexpr Fn kTwo[] = {RunAmxKernel<2, 1>, RunAmxKernel<2, 2>};
  (rows > kAmxRows ? kTwo : kOne)[vecs - 1](call);
}

// y = sum + bias (+ y) of `n` columns, as Finish in tile_kernel.h.
ALIGNLAB_INLINE void FinishVector(const Epilogue& e, Vec sum, int64_t row, int64_t col, int n) {
  if (e.bias) sum = Add(sum, LoadPartial(e.bias + col, n));
  const int64_t at = row * e.y_row + col;
  if (e.bf16) {
    uint16_t* y = static_cast<uint16_t*>(e.y) + at;
    if (n == kLanes)
      StoreBf16(y, sum);
    else
      StorePartialAs(y, sum, n);
    return;
  }
  float* y = static_cast<float*>(e.y) + at;
  if (e.accumulate) sum = Add(sum, LoadPartial(y, n));
  StorePartial(y, sum, n);
}

// `rows` rows and `vecs` panels, the last of which has `width` columns. Sums that are no whole
// tiles in memory, or are not finished, go through tiles of their own.
inline void RunAmx(const AmxCall& call, int rows, int vecs, int width) {
  if (!call.epilogue && rows % kAmxRows == 0 && width == kLanes) {
    RunAmxTiles(call, rows, vecs);
    return;
  }
  alignas(64) float sums[4 * kAmxTile];
  AmxCall apart = call;
  apart.c = sums;
  apart.c_row = vecs * kLanes;
  apart.c_vec = kLanes;
  const auto width_of = [&](int j) { return j == vecs - 1 ? width : int(kLanes); };
  for (int r = 0; call.load && r < rows; ++r)
    for (int j = 0; j < vecs; ++j)
      Store(sums + (r * vecs + j) * kLanes,
            LoadPartial(call.c + r * call.c_row + j * call.c_vec, width_of(j)));
  RunAmxTiles(apart, rows, vecs);
  for (int r = 0; r < rows; ++r)
    for (int j = 0; j < vecs; ++j) {
      const Vec sum = Load(sums + (r * vecs + j) * kLanes);
      if (call.epilogue)
        FinishVector(*call.epilogue, sum, r, j * kLanes, width_of(j));
      else
        StorePartial(call.c + r * call.c_row + j * call.c_vec, sum, width_of(j));
    }
}

// A from rows whose k is contiguous: tile t of row tile i at to + (i * depth + t) * 256, zero where
// there are no rows or no k.
inline void PackAmxRows(const uint16_t* from, int64_t stride, int64_t rows, int64_t k, float* to) {
  const int64_t depth = CeilDiv(k, kAmxDepth), whole = k / kAmxDepth;
  const auto lanes = [](int64_t n) { return __mmask32((uint64_t(1) << n) - 1); };
  for (int64_t r = 0; r < CeilDiv(rows, kAmxRows) * kAmxRows; ++r) {
    const uint16_t* x = from + r * stride;
    float* row = to + r / kAmxRows * depth * kAmxTile + r % kAmxRows * kAmxSteps;
    if (r >= rows) {
      for (int64_t t = 0; t < depth; ++t) Store(row + t * kAmxTile, Zero());
      continue;
    }
    for (int64_t t = 0; t < whole; ++t)
      _mm512_storeu_si512(row + t * kAmxTile, _mm512_loadu_si512(x + t * kAmxDepth));
    if (whole < depth)
      _mm512_storeu_si512(row + whole * kAmxTile,
                          _mm512_maskz_loadu_epi16(lanes(k % kAmxDepth), x + whole * kAmxDepth));
  }
}

// One tile whose k runs down the `k` rows of a matrix: of B (16 columns as vectors), or transposed
// for A (16 columns as rows). `n` columns are there, the others and missing k are zero.
template <bool kTransposed>
inline void PackAmxTile(const uint16_t* from, int64_t stride, int64_t k, int n, float* to) {
  Vec m[16];
#pragma GCC unroll 16
  for (int s = 0; s < int(kAmxSteps); ++s)
    m[s] = 2 * s < k ? LoadStep(from + 2 * s * stride, stride, 2 * s + 1 < k, n) : Zero();
  if constexpr (kTransposed) Transpose16(m);
#pragma GCC unroll 16
  for (int s = 0; s < int(kAmxSteps); ++s) Store(to + s * kLanes, m[s]);
}

}  // namespace
}  // namespace alignlab
