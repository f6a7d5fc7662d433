// AdamW in one pass: 32 bytes moved per parameter in either form, nothing else counts.
#pragma once

#include "cpu/kernels/rows.h"
#include "cpu/kernels/split_weight.h"

namespace alignlab {
namespace {

struct AdamWUpdate {
  explicit AdamWUpdate(const AdamWArgs& a)
      : scale(Set1(a.grad_scale)),
        rate(Set1(-a.lr)),
        decay(Set1(a.weight_decay)),
        beta1(Set1(a.beta1)),
        rest1(Set1(1.0f - a.beta1)),
        beta2(Set1(a.beta2)),
        rest2(Set1(1.0f - a.beta2)),
        correct1(Set1(1.0f / a.bias1)),
        correct2(Set1(1.0f / a.bias2)),
        eps(Set1(a.eps)) {}

  Vec Weight(Vec w, Vec gradient, Vec& m, Vec& v) const {
    const Vec g = Mul(gradient, scale);
    m = Fma(beta1, m, Mul(rest1, g));
    v = Fma(beta2, v, Mul(rest2, Mul(g, g)));
    const Vec step = Div(Mul(m, correct1), Add(Sqrt(Mul(v, correct2)), eps));
    return Fma(rate, Fma(decay, w, step), w);
  }

  Vec scale, rate, decay, beta1, rest1, beta2, rest2, correct1, correct2, eps;
};

inline void AdamW(void* device, const AdamWArgs& args) {
  const AdamWUpdate update(args);
  ForChunks(device, args.n, [&](int64_t begin, int64_t end) {
    ForVectors(begin, end, [&](int64_t i, int64_t n) {
      Vec m = LoadN(args.m + i, n), v = LoadN(args.v + i, n);
      const Vec w = update.Weight(LoadN(args.w + i, n), LoadN(args.g + i, n), m, v);
      StoreN(args.g + i, Zero(), n);
      StoreN(args.m + i, m, n);
      StoreN(args.v + i, v, n);
      StoreN(args.w + i, w, n);
    });
  });
}

inline void AdamWSplit(void* device, const AdamWArgs& args, SplitWeight weight) {
  const AdamWUpdate update(args);
  ForSplitUnits(device, weight, [&](int64_t flat, int64_t n, const SplitUnit& unit) {
    Vec w[2];
    unit.Join(w);
    for (int half = 0; half < 2; ++half) {
      const int64_t at = flat + half * kLanes;
      const int64_t lanes = Smaller(kLanes, n - half * kLanes);
      if (lanes <= 0) break;
      Vec m = LoadN(args.m + at, lanes), v = LoadN(args.v + at, lanes);
      w[half] = update.Weight(w[half], LoadN(args.g + at, lanes), m, v);
      StoreN(args.g + at, Zero(), lanes);
      StoreN(args.m + at, m, lanes);
      StoreN(args.v + at, v, lanes);
    }
    unit.Split(w);
  });
}

}  // namespace
}  // namespace alignlab
