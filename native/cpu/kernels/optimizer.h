// AdamW in one pass: 28 bytes moved per parameter, nothing else counts.
#pragma once

#include "cpu/kernels/rows.h"

namespace alignlab {
namespace {

inline void AdamW(void* device, const AdamWArgs& args) {
  const Vec scale = Set1(args.grad_scale), rate = Set1(-args.lr), decay = Set1(args.weight_decay);
  const Vec beta1 = Set1(args.beta1), rest1 = Set1(1.0f - args.beta1);
  const Vec beta2 = Set1(args.beta2), rest2 = Set1(1.0f - args.beta2);
  const Vec correct1 = Set1(1.0f / args.bias1), correct2 = Set1(1.0f / args.bias2);
  const Vec eps = Set1(args.eps);
  ForChunks(device, args.n, [&](int64_t begin, int64_t end) {
    ForVectors(begin, end, [&](int64_t i, int64_t n) {
      const Vec w = LoadN(args.w + i, n);
      const Vec g = Mul(LoadN(args.g + i, n), scale);
      const Vec m = Fma(beta1, LoadN(args.m + i, n), Mul(rest1, g));
      const Vec v = Fma(beta2, LoadN(args.v + i, n), Mul(rest2, Mul(g, g)));
      const Vec step = Div(Mul(m, correct1), Add(Sqrt(Mul(v, correct2)), eps));
      StoreN(args.m + i, m, n);
      StoreN(args.v + i, v, n);
      StoreN(args.w + i, Fma(rate, Fma(decay, w, step), w), n);
    });
  });
}

}  // namespace
}  // namespace alignlab
