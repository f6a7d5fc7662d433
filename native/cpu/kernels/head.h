// The vocabulary projection fused with log-probability and entropy. Logits exist one tile at a
// time (some rows x kHeadSlab columns); a tile leaves a few sums per row, and the slabs' sums are
// merged in ascending order. Scoring thousands of rows and decoding one run the same arithmetic:
// tiles are cut in both directions, so that few rows still keep all threads busy.
#pragma once

#include <new>

#include "backend/backend.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/simd.h"
#include "cpu/kernels/tile.h"

namespace alignlab {
namespace {

// The slab decides how sums over the vocabulary are grouped, hence bits: a constant.
constexpr int64_t kHeadSlab = 512;
// The most rows of a tile: with kHeadSlab columns of logits and their share of the hidden states
// they stay in the second-level cache. A whole number of the micro-kernel's rows.
constexpr int64_t kHeadRows = 112, kHeadRowStep = 14;
// Rows whose per-slab sums are held at once.
constexpr int64_t kHeadChunk = 4096;

// Memory that tasks share during one operation.
class HeadMemory {
 public:
  explicit HeadMemory(size_t bytes) : data_(::operator new(bytes, std::align_val_t(64))) {}
  ~HeadMemory() { ::operator delete(data_, std::align_val_t(64)); }
  HeadMemory(const HeadMemory&) = delete;
  HeadMemory& operator=(const HeadMemory&) = delete;
  float* f32() const { return static_cast<float*>(data_); }
  uint16_t* bf16() const { return static_cast<uint16_t*>(data_); }

 private:
  void* data_;
};

inline int64_t HeadMin(int64_t a, int64_t b) { return a < b ? a : b; }

// Even blocks of at most kHeadRows rows.
inline int64_t HeadBlockRows(int64_t rows) {
  const int64_t blocks = (rows + kHeadRows - 1) / kHeadRows;
  return RoundUp((rows + blocks - 1) / blocks, kHeadRowStep);
}

// Floats that HeadLogits wants besides the tile.
inline int64_t HeadPackFloats(const Tensor& hidden, int64_t rows) {
  const bool odd = hidden.dtype == DType::kBF16 && ((hidden.cols | hidden.stride) & 1);
  return odd ? rows * ((hidden.cols + 1) / 2) : 0;
}

// z (rows, cols) = hidden[first_row ..] W[first_col ..]^T, all of D in ascending order. Columns
// come in whole panels: up to 15 beyond `cols` are written. first_col is a multiple of 16.
inline void HeadLogits(const Tensor& hidden, int64_t first_row, int64_t rows, const Weight& weight,
                       int64_t first_col, int64_t cols, float* z, int64_t z_row, float* pack) {
  const bool narrow = weight.dtype == DType::kBF16;
  const int64_t steps = narrow ? (weight.in + 1) / 2 : weight.in;
  TileArgs t{};
  t.rows = rows;
  t.vecs = (cols + kLanes - 1) / kLanes;
  t.steps = steps;
  t.a_step = 1;
  t.b_vec = steps * kLanes;
  t.b_step = kLanes;
  t.c = z;
  t.c_row = z_row;
  t.c_vec = kLanes;
  if (!narrow) {
    t.a = hidden.f32() + first_row * hidden.stride;
    t.a_row = hidden.stride;
    t.b = weight.f32() + first_col * steps;
    TileF32(t);
    return;
  }
  t.a = hidden.bf16() + first_row * hidden.stride;
  t.a_row = hidden.stride / 2;
  if ((hidden.cols | hidden.stride) & 1) {  // rows of whole pairs
    uint16_t* packed = reinterpret_cast<uint16_t*>(pack);
    for (int64_t r = 0; r < rows; ++r) {
      uint16_t* row = packed + r * 2 * steps;
      row[2 * steps - 1] = 0;
      std::memcpy(row, hidden.bf16() + (first_row + r) * hidden.stride, size_t(hidden.cols) * 2);
    }
    t.a = packed;
    t.a_row = steps;
  }
  t.b = weight.bf16() + first_col * steps * 2;
  TileBf16(t);
}

// Of z[0 .. n): the maximum m, s = sum e^(z-m), t = sum (z-m) e^(z-m). NaN in z makes s NaN.
template <bool kEntropy>
inline void SlabSums(const float* z, int64_t n, float* m, float* s, float* t) {
  const int64_t whole = n / kLanes * kLanes;
  const int rest = int(n - whole);
  Vec top = Set1(-INFINITY);
  for (int64_t j = 0; j < whole; j += kLanes) top = Max(top, Load(z + j));
  if (rest) top = Max(top, Select(FirstLanes(rest), LoadPartial(z + whole, rest), top));
  *m = ReduceMax(top);
  const Vec max = Set1(*m);
  Vec sum = Zero(), weighted = Zero();
  for (int64_t j = 0; j < whole; j += kLanes) {
    const Vec d = Sub(Load(z + j), max);
    const Vec e = Exp(d);
    sum = Add(sum, e);
    if (kEntropy) weighted = Fma(d, e, weighted);
  }
  if (rest) {
    const Vec d = Sub(LoadPartial(z + whole, rest), max);
    const Vec e = Select(FirstLanes(rest), Exp(d), Zero());
    sum = Add(sum, e);
    if (kEntropy) weighted = Fma(d, e, weighted);
  }
  *s = ReduceAdd(sum);
  if (kEntropy) *t = ReduceAdd(weighted);
}

// The sums of one chunk of rows: [slab][row], so that merging runs over sixteen rows at a time.
struct HeadPartials {
  float *m, *s, *t;
  int64_t rows;  // a multiple of 16
};

// lse, entropy and logprob (which holds z[target]) of the chunk's rows from their slabs' sums.
inline void MergeSlabs(const HeadArgs& args, const HeadPartials& p, int64_t slabs, int64_t first,
                       int64_t rows) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    Vec m = Load(p.m + r), s = Load(p.s + r), t = Load(p.t + r);
    for (int64_t k = 1; k < slabs; ++k) {
      const int64_t at = k * p.rows + r;
      const Vec mk = Load(p.m + at), sk = Load(p.s + at);
      const Vec max = Max(m, mk);
      const Vec d = Sub(m, max), dk = Sub(mk, max);
      const Vec e = Exp(d), ek = Exp(dk);
      t = Add(Mul(e, Fma(d, s, t)), Mul(ek, Fma(dk, sk, Load(p.t + at))));
      s = Add(Mul(e, s), Mul(ek, sk));
      m = max;
    }
    float max[kLanes], sum[kLanes], weighted[kLanes];
    Store(max, m);
    Store(sum, s);
    Store(weighted, t);
    for (int64_t i = 0; i < HeadMin(kLanes, rows - r); ++i) {
      const int64_t row = first + r + i;
      const float log_sum = __builtin_logf(sum[i]);
      args.lse[row] = max[i] + log_sum;
      if (args.entropy) args.entropy[row] = log_sum - weighted[i] / sum[i];
      if (args.targets && args.logprob) args.logprob[row] -= args.lse[row];
    }
  }
}

inline void HeadTile(const HeadArgs& args, const HeadPartials& p, int64_t slab, int64_t first,
                     int64_t rows, float* tile, float* pack) {
  const int64_t col = slab * kHeadSlab;
  const int64_t cols = HeadMin(kHeadSlab, args.weight.out - col);
  // Logits that are asked for are computed in place, except where whole panels overlap the end.
  const bool in_place = args.logits.data && cols % kLanes == 0;
  float* out = args.logits.data ? args.logits.f32() + first * args.logits.stride + col : nullptr;
  float* z = in_place ? out : tile;
  const int64_t z_row = in_place ? args.logits.stride : kHeadSlab;
  HeadLogits(args.hidden, first, rows, args.weight, col, cols, z, z_row, pack);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = z + r * z_row;
    const int64_t at = slab * p.rows + (first % kHeadChunk) + r;
    if (args.entropy)
      SlabSums<true>(row, cols, p.m + at, p.s + at, p.t + at);
    else
      SlabSums<false>(row, cols, p.m + at, p.s + at, nullptr);
    if (args.targets && args.logprob) {
      const int64_t target = args.targets[first + r] - col;
      if (target >= 0 && target < cols) args.logprob[first + r] = row[target];
    }
    if (out && !in_place) std::memcpy(out + r * args.logits.stride, row, size_t(cols) * 4);
  }
}

void Head(void* device, const HeadArgs& args) {
  const int64_t all = args.hidden.rows;
  if (all == 0) return;
  const int64_t slabs = (args.weight.out + kHeadSlab - 1) / kHeadSlab;
  const int64_t held = RoundUp(HeadMin(all, kHeadChunk), kLanes);
  const HeadMemory memory(size_t(3 * slabs * held) * sizeof(float));
  const HeadPartials p{memory.f32(), memory.f32() + slabs * held, memory.f32() + 2 * slabs * held,
                       held};
  std::memset(memory.f32(), 0, size_t(3 * slabs * held) * sizeof(float));
  for (int64_t chunk = 0; chunk < all; chunk += kHeadChunk) {
    const int64_t rows = HeadMin(kHeadChunk, all - chunk);
    const int64_t block = HeadBlockRows(rows);
    const int64_t blocks = (rows + block - 1) / block;
    const int64_t tile = block * kHeadSlab;
    const size_t scratch = size_t(tile + HeadPackFloats(args.hidden, block)) * sizeof(float);
    // Neighbouring tasks share a slab of the weight: it is read from memory once.
    ParallelFor(device, blocks * slabs, [&](int64_t task, Worker& worker) {
      float* z = static_cast<float*>(worker.Scratch(scratch));
      const int64_t first = task % blocks * block;
      HeadTile(args, p, task / blocks, chunk + first, HeadMin(block, rows - first), z, z + tile);
    });
    MergeSlabs(args, p, slabs, chunk, rows);
  }
}

}  // namespace
}  // namespace alignlab
