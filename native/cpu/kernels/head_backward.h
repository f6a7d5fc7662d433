// Gradients of the vocabulary projection: three matrix products of the same size. Logits are
// recomputed and turned into dz for some thousand rows and columns at a time; the two products
// with dz then run as ordinary ones, adding to what earlier slabs and rows left. Every sum is one
// ascending chain, so where rows and columns are cut does not show in the bits.
#pragma once

#include "cpu/kernels/head.h"

namespace alignlab {
namespace {

// dz of this many rows and columns is held (8 MB in bf16). Multiples of kHeadSlab.
constexpr int64_t kBackwardRows = 2048, kBackwardSlab = 2048;

// dz[v] = d_logprob (1[v = target] - p) - d_entropy p (log p + entropy)
// `first` counts rows from the call's first one, `col` is the slab's first column in W.
template <class T>
inline void HeadDz(const HeadBackwardArgs& args, const float* z, int64_t row, int64_t col,
                   int64_t cols, T* dz) {
  const float a = args.d_logprob[row];
  const float b = args.d_entropy ? args.d_entropy[row] : 0.0f;
  const float entropy = args.d_entropy ? args.forward.entropy[row] : 0.0f;
  const Vec lse = Set1(args.forward.lse[row]);
  const Vec minus_b = Set1(-b), constant = Set1(-(a + b * entropy));
  const int64_t target = args.forward.targets ? args.forward.targets[row] - col : -1;
  float at_target = 0;
  if (target >= 0 && target < cols) {
    float lanes[kLanes];
    const Vec log_p = Sub(Set1(z[target]), lse);
    Store(lanes, Fma(Exp(log_p), Fma(minus_b, log_p, constant), Set1(a)));
    at_target = lanes[0];
  }
  for (int64_t j = 0; j < cols; j += kLanes) {
    const int lanes = int(Least(kLanes, cols - j));
    const Vec log_p = Sub(LoadPartial(z + j, lanes), lse);
    const Vec value = Mul(Exp(log_p), Fma(minus_b, log_p, constant));
    if (lanes == kLanes)
      StoreAs(dz + j, value);
    else
      StorePartialAs(dz + j, value, lanes);
  }
  if (target < 0 || target >= cols) return;
  float lanes[kLanes] = {at_target};
  StorePartialAs(dz + target, Load(lanes), 1);
}

// dz of rows [first, first + dz.rows) and columns [col, col + dz.cols).
inline void HeadDzSlab(void* device, const HeadBackwardArgs& args, int64_t first, int64_t col,
                       const Tensor& dz) {
  const Tensor hidden = RowRange(args.forward.hidden, first, dz.rows);
  const Weight weight = WeightSlab(args.forward.weight, col, dz.cols);
  ForHeadTiles(device, hidden, weight, true,
               [&](int64_t at, int64_t rows, int64_t slab, HeadLogits& logits, float* z) {
                 const int64_t left = slab * kHeadSlab;
                 const int64_t width = Least(kHeadSlab, dz.cols - left);
                 logits.Slab(left, width, z, kHeadSlab);
                 for (int64_t r = 0; r < rows; ++r) {
                   const float* row = z + r * kHeadSlab;
                   const int64_t to = (at + r) * dz.stride + left;
                   if (dz.dtype == DType::kF32)
                     HeadDz(args, row, first + at + r, col + left, width, dz.f32() + to);
                   else
                     HeadDz(args, row, first + at + r, col + left, width, dz.bf16() + to);
                 }
               });
}

void HeadBackward(void* device, const HeadBackwardArgs& args) {
  const HeadArgs& forward = args.forward;
  const int64_t all = forward.hidden.rows, vocab = forward.weight.out;
  if (all == 0) return;
  const DType dtype = forward.weight.dtype;
  const int64_t stride = Least(RoundUp(vocab, kLanes), kBackwardSlab);
  const SharedMemory memory(size_t(Least(all, kBackwardRows) * stride) * SizeOf(dtype));
  for (int64_t first = 0; first < all; first += kBackwardRows) {
    const int64_t rows = Least(kBackwardRows, all - first);
    const Tensor hidden = RowRange(forward.hidden, first, rows);
    const Tensor d_hidden = RowRange(args.d_hidden, first, rows);
    for (int64_t col = 0; col < vocab; col += kBackwardSlab) {
      const int64_t cols = Least(kBackwardSlab, vocab - col);
      const Tensor dz{memory.f32(), dtype, rows, cols, stride};
      HeadDzSlab(device, args, first, col, dz);
      LinearInputGrad(device, {dz, WeightSlab(forward.weight, col, cols), d_hidden, col > 0});
      if (args.d_weight.data)
        LinearWeightGrad(device, {dz, hidden, WeightSlab(args.d_weight, col, cols), nullptr});
    }
  }
}

}  // namespace
}  // namespace alignlab
