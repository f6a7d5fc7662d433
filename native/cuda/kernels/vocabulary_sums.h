// Sums over parts of the vocabulary, and how those of two parts become those of both.
#pragma once

#include "cuda/simt.h"

namespace alignlab::cuda {

// Of logits z: m = max z, s = sum e^(z - m), t = sum (z - m) e^(z - m). s = 0: of none.
struct alignas(16) VocabularySums {
  float m, s, t, unused;

  __device__ __forceinline__ static VocabularySums OfNone() { return {-kInfinity, 0, 0, 0}; }
  __device__ __forceinline__ float LogSumExp() const { return m + Log(s); }
  // -sum p log p
  __device__ __forceinline__ float Entropy() const { return Log(s) - Divide(t, s); }
};

__device__ __forceinline__ VocabularySums Merge(const VocabularySums& a, const VocabularySums& b) {
  if (b.s == 0) return a;
  if (a.s == 0) return b;
  const float m = Max(a.m, b.m), of_a = Exp(a.m - m), of_b = Exp(b.m - m);
  return {m, of_a * a.s + of_b * b.s, of_a * Fma(a.m - m, a.s, a.t) + of_b * Fma(b.m - m, b.s, b.t),
          0};
}

// Of the sums of a warp's lanes, in one fixed tree.
__device__ __forceinline__ VocabularySums MergeWarp(VocabularySums x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2)
    x = Merge(x, {ShuffleXor(x.m, mask), ShuffleXor(x.s, mask), ShuffleXor(x.t, mask), 0});
  return x;
}

// Of p = softmax(z) and q = softmax(y): the maxima m and n, s = sum e^(z - m), r = sum e^(y - n),
// and t = sum e^(z - m) ((z - m) - (y - n)). Where z and y are equal t is 0, and so is Kl().
struct DivergenceSums {
  float m, s, n, r, t;

  __device__ __forceinline__ float Kl() const { return Divide(t, s) - Log(s) + Log(r); }
};

__device__ __forceinline__ DivergenceSums Merge(const DivergenceSums& a, const DivergenceSums& b) {
  const float m = Max(a.m, b.m), n = Max(a.n, b.n);
  const auto shifted = [&](const DivergenceSums& x) {
    return Exp(x.m - m) * Fma((x.m - m) - (x.n - n), x.s, x.t);
  };
  return {m, Exp(a.m - m) * a.s + Exp(b.m - m) * b.s, n, Exp(a.n - n) * a.r + Exp(b.n - n) * b.r,
          shifted(a) + shifted(b)};
}

}  // namespace alignlab::cuda
