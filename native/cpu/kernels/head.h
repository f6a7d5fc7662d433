// The vocabulary projection fused with log-probability and entropy. Logits exist one tile at a
// time (some rows x kHeadSlab columns); a tile leaves a few sums per row, and the slabs' sums are
// merged in ascending order. Scoring thousands of rows and decoding one run the same arithmetic:
// tiles are cut in both directions, so that few rows still keep all threads busy.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/linear.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/simd.h"

namespace alignlab {
namespace {

// The slab decides how sums over the vocabulary are grouped, hence bits: a constant.
constexpr int64_t kHeadSlab = 512;
// The most rows of a tile: with kHeadSlab columns of logits and their share of the hidden states
// they stay in the second-level cache.
constexpr int64_t kHeadRows = 112;
// Rows whose per-slab sums are held at once.
constexpr int64_t kHeadChunk = 4096;

// Columns [col, col + cols) of the weight as a weight; col is a multiple of the panel.
inline Weight WeightSlab(const Weight& w, int64_t col, int64_t cols) {
  if (w.dtype == DType::kF32) return {w.f32() + col * w.in, w.dtype, cols, w.in};
  return {w.bf16() + col * RoundUp(w.in, 2), w.dtype, cols, w.in};
}

// Rows by slabs, cut into tasks: a task takes some successive slabs for one block of rows, which
// it packs once. Neighbouring tasks share their slabs, so that a weight is read from memory once.
struct HeadTiling {
  Split rows, slabs;
  HeadTiling(void* device, int64_t row_count, int64_t columns)
      : rows(row_count, kHeadRows, 1), slabs(CeilDiv(columns, kHeadSlab), 1, 1) {
    const int64_t wanted = 8 * static_cast<Pool*>(device)->threads();
    slabs = Split(slabs.total, Least(8, Most(1, rows.count * slabs.total / wanted)), 1);
  }
  int64_t tasks() const { return rows.count * slabs.count; }
};

// z = hidden W^T for one block of rows, slab by slab, with the tiles of Linear.
class HeadLogits {
 public:
  // `memory` holds PackFloats floats.
  HeadLogits(void* device, const Tensor& hidden, const Weight& weight, float* memory)
      : device_(device), hidden_(hidden), weight_(weight), memory_(memory) {}

  // z (rows, cols), `z_row` floats from row to row; col is a multiple of kHeadSlab.
  void Slab(int64_t col, int64_t cols, float* z, int64_t z_row) {
    const LinearArgs args{hidden_,
                          WeightSlab(weight_, col, cols),
                          nullptr,
                          {z, DType::kF32, hidden_.rows, cols, z_row},
                          false};
    if (weight_.dtype == DType::kF32)
      Run(LinearTask<float>(device_, args), cols);
    else
      Run(LinearTask<uint16_t>(device_, args), cols);
  }

  static int64_t PackFloats(const Weight& weight, int64_t rows) {
    constexpr int64_t kPanels = kHeadSlab / kPanel;
    return weight.dtype == DType::kF32 ? LinearTask<float>::Floats(weight.in, rows, kPanels)
                                       : LinearTask<uint16_t>::Floats(weight.in, rows, kPanels);
  }

 private:
  template <class T>
  void Run(const LinearTask<T>& task, int64_t cols) {
    task.RunBlock(task.BlockOf(0, hidden_.rows, 0, CeilDiv(cols, kPanel), memory_), packed_);
    packed_ = true;
  }

  void* device_;
  Tensor hidden_;
  Weight weight_;
  float* memory_;
  bool packed_ = false;
};

// Runs body(first row, rows, slab, logits, z) over row blocks and slabs of z = hidden W^T, W
// being `weight`. z: memory for a block's slab of logits when `tile`, else nothing.
template <class Body>
void ForHeadTiles(void* device, const Tensor& hidden, const Weight& weight, bool tile,
                  const Body& body) {
  const HeadTiling tiling(device, hidden.rows, weight.out);
  const int64_t room = tile ? tiling.rows.piece * kHeadSlab : 0;
  const int64_t pack = HeadLogits::PackFloats(weight, tiling.rows.piece);
  ParallelFor(device, tiling.tasks(), [&](int64_t task, Worker& worker) {
    float* z = static_cast<float*>(worker.Scratch(size_t(room + pack) * sizeof(float)));
    const int64_t block = task % tiling.rows.count, group = task / tiling.rows.count;
    const int64_t at = tiling.rows.First(block), rows = tiling.rows.Size(block);
    HeadLogits logits(device, RowRange(hidden, at, rows), weight, z + room);
    for (int64_t i = 0; i < tiling.slabs.Size(group); ++i)
      body(at, rows, tiling.slabs.First(group) + i, logits, z);
  });
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
    for (int64_t i = 0; i < Least(kLanes, rows - r); ++i) {
      const int64_t row = first + r + i;
      const float log_sum = __builtin_logf(sum[i]);
      args.lse[row] = max[i] + log_sum;
      if (args.entropy) args.entropy[row] = log_sum - weighted[i] / sum[i];
      if (args.targets && args.logprob) args.logprob[row] -= args.lse[row];
    }
  }
}

// Rows `first` .. of the call, which are rows `at` .. of the chunk.
inline void HeadTile(const HeadArgs& args, const HeadPartials& p, int64_t slab, int64_t first,
                     int64_t at, int64_t rows, HeadLogits& logits, float* tile) {
  const int64_t col = slab * kHeadSlab;
  const int64_t cols = Least(kHeadSlab, args.weight.out - col);
  // Logits that are asked for are computed where they belong.
  const bool wanted = args.logits.data != nullptr;
  float* z = wanted ? args.logits.f32() + first * args.logits.stride + col : tile;
  const int64_t z_row = wanted ? args.logits.stride : kHeadSlab;
  logits.Slab(col, cols, z, z_row);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = z + r * z_row;
    const int64_t to = slab * p.rows + at + r;
    if (args.entropy)
      SlabSums<true>(row, cols, p.m + to, p.s + to, p.t + to);
    else
      SlabSums<false>(row, cols, p.m + to, p.s + to, nullptr);
    if (!args.targets || !args.logprob) continue;
    const int64_t target = args.targets[first + r] - col;
    if (target >= 0 && target < cols) args.logprob[first + r] = row[target];
  }
}

void Head(void* device, const HeadArgs& args) {
  const int64_t all = args.hidden.rows;
  if (all == 0) return;
  const int64_t slabs = CeilDiv(args.weight.out, kHeadSlab);
  const int64_t held = RoundUp(Least(all, kHeadChunk), kLanes);
  const SharedMemory memory(size_t(3 * slabs * held) * sizeof(float));
  const HeadPartials p{memory.f32(), memory.f32() + slabs * held, memory.f32() + 2 * slabs * held,
                       held};
  std::memset(memory.f32(), 0, size_t(3 * slabs * held) * sizeof(float));
  for (int64_t chunk = 0; chunk < all; chunk += kHeadChunk) {
    const int64_t chunk_rows = Least(kHeadChunk, all - chunk);
    ForHeadTiles(device, RowRange(args.hidden, chunk, chunk_rows), args.weight,
                 args.logits.data == nullptr,
                 [&](int64_t at, int64_t rows, int64_t slab, HeadLogits& logits, float* z) {
                   HeadTile(args, p, slab, chunk + at, at, rows, logits, z);
                 });
    MergeSlabs(args, p, slabs, chunk, chunk_rows);
  }
}

}  // namespace
}  // namespace alignlab
