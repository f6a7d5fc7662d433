// KL(p || q) between two heads over one vocabulary, exact: both heads' tiles are computed slab by
// slab, and what a tile leaves per row are the two maxima and three sums.
#pragma once

#include "cpu/kernels/head.h"

namespace alignlab {
namespace {

// With a = zp - mp and b = zq - mq, mp and mq the maxima so far:
//   sp = sum e^a,  sq = sum e^b,  u = sum e^a (a - b);   kl = u / sp - log sp + log sq.
// Differences from the maxima keep a constant offset between the two models' logits out of the
// sums; equal heads give exactly 0.
struct KlPartials {
  float *mp, *mq, *sp, *sq, *u;
  int64_t rows;
};

inline float RowMax(const float* z, int64_t n) {
  const int64_t whole = n / kLanes * kLanes;
  const int rest = int(n - whole);
  Vec top = Set1(-INFINITY);
  for (int64_t j = 0; j < whole; j += kLanes) top = Max(top, Load(z + j));
  if (rest) top = Max(top, Select(FirstLanes(rest), LoadPartial(z + whole, rest), top));
  return ReduceMax(top);
}

inline void KlSlabSums(const float* zp, const float* zq, int64_t n, const KlPartials& k,
                       int64_t at) {
  const float max_p = RowMax(zp, n), max_q = RowMax(zq, n);
  Vec sp = Zero(), sq = Zero(), u = Zero();
  for (int64_t j = 0; j < n; j += kLanes) {
    const int lanes = int(Least(kLanes, n - j));
    const Mask in = FirstLanes(lanes);
    const Vec a = Sub(LoadPartial(zp + j, lanes), Set1(max_p));
    const Vec b = Sub(LoadPartial(zq + j, lanes), Set1(max_q));
    const Vec ea = Select(in, Exp(a), Zero());
    sp = Add(sp, ea);
    sq = Add(sq, Select(in, Exp(b), Zero()));
    u = Fma(ea, Sub(a, b), u);
  }
  k.mp[at] = max_p;
  k.mq[at] = max_q;
  k.sp[at] = ReduceAdd(sp);
  k.sq[at] = ReduceAdd(sq);
  k.u[at] = ReduceAdd(u);
}

inline void MergeKl(const KlPartials& k, int64_t slabs, int64_t rows, float* kl) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    Vec mp = Load(k.mp + r), mq = Load(k.mq + r), sp = Load(k.sp + r), sq = Load(k.sq + r),
        u = Load(k.u + r);
    for (int64_t slab = 1; slab < slabs; ++slab) {
      const int64_t at = slab * k.rows + r;
      const Vec max_p = Max(mp, Load(k.mp + at)), max_q = Max(mq, Load(k.mq + at));
      const Vec dp = Sub(mp, max_p), dq = Sub(mq, max_q);
      const Vec dp2 = Sub(Load(k.mp + at), max_p), dq2 = Sub(Load(k.mq + at), max_q);
      const Vec ep = Exp(dp), ep2 = Exp(dp2);
      const Vec sp2 = Load(k.sp + at);
      u = Add(Mul(ep, Fma(sp, Sub(dp, dq), u)), Mul(ep2, Fma(sp2, Sub(dp2, dq2), Load(k.u + at))));
      sp = Add(Mul(ep, sp), Mul(ep2, sp2));
      sq = Add(Mul(Exp(dq), sq), Mul(Exp(dq2), Load(k.sq + at)));
      mp = max_p;
      mq = max_q;
    }
    float p[kLanes], q[kLanes], mean[kLanes];
    Store(p, sp);
    Store(q, sq);
    Store(mean, Div(u, sp));
    for (int64_t i = 0; i < Least(kLanes, rows - r); ++i)
      kl[r + i] = mean[i] + (__builtin_logf(q[i]) - __builtin_logf(p[i]));
  }
}

void HeadKl(void* device, const HeadKlArgs& args) {
  const int64_t all = args.hidden_p.rows;
  if (all == 0) return;
  const int64_t vocab = args.weight_p.out;
  const int64_t slabs = CeilDiv(vocab, kHeadSlab);
  const int64_t held = RoundUp(Least(all, kHeadChunk), kLanes), part = slabs * held;
  const SharedMemory memory(size_t(5 * part) * sizeof(float));
  float* base = memory.f32();
  std::memset(base, 0, size_t(5 * part) * sizeof(float));
  const KlPartials k{base, base + part, base + 2 * part, base + 3 * part, base + 4 * part, held};
  for (int64_t chunk = 0; chunk < all; chunk += kHeadChunk) {
    const int64_t chunk_rows = Least(kHeadChunk, all - chunk);
    const HeadTiling tiling(device, chunk_rows, vocab);
    const int64_t tile = tiling.rows.piece * kHeadSlab;
    const int64_t pack_p = HeadLogits::PackFloats(args.weight_p, tiling.rows.piece);
    const int64_t pack_q = HeadLogits::PackFloats(args.weight_q, tiling.rows.piece);
    const size_t scratch = size_t(2 * tile + pack_p + pack_q) * sizeof(float);
    ParallelFor(device, tiling.tasks(), [&](int64_t task, Worker& worker) {
      float* zp = static_cast<float*>(worker.Scratch(scratch));
      float *zq = zp + tile, *pack = zq + tile;
      const int64_t block = task % tiling.rows.count, group = task / tiling.rows.count;
      const int64_t at = tiling.rows.First(block), rows = tiling.rows.Size(block);
      HeadLogits p(device, RowRange(args.hidden_p, chunk + at, rows), args.weight_p, pack);
      HeadLogits q(device, RowRange(args.hidden_q, chunk + at, rows), args.weight_q, pack + pack_p);
      for (int64_t i = 0; i < tiling.slabs.Size(group); ++i) {
        const int64_t slab = tiling.slabs.First(group) + i, col = slab * kHeadSlab;
        const int64_t cols = Least(kHeadSlab, vocab - col);
        p.Slab(col, cols, zp, kHeadSlab);
        q.Slab(col, cols, zq, kHeadSlab);
        for (int64_t r = 0; r < rows; ++r)
          KlSlabSums(zp + r * kHeadSlab, zq + r * kHeadSlab, cols, k, slab * held + at + r);
      }
    });
    MergeKl(k, slabs, chunk_rows, args.kl + chunk);
  }
}

}  // namespace
}  // namespace alignlab
