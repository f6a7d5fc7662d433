// Sums and combinations of flat arrays.
#pragma once

#include "cpu/kernels/rows.h"

namespace alignlab {
namespace {

// Two vectors' worth of partial sums: enough chains to hide the latency of an addition.
inline double SumSquaresOf(const float* x, int64_t n) {
  constexpr int64_t kChains = 2 * kLanes;
  double sum[kChains] = {};
  int64_t i = 0;
  for (; i + kChains <= n; i += kChains)
    for (int64_t l = 0; l < kChains; ++l) sum[l] += double(x[i + l]) * double(x[i + l]);
  for (; i < n; ++i) sum[i % kChains] += double(x[i]) * double(x[i]);
  for (int64_t half = kChains / 2; half >= 1; half /= 2)
    for (int64_t l = 0; l < half; ++l) sum[l] += sum[l + half];
  return sum[0];
}

// At most kParts chunks, whose borders depend on n alone; their sums are added in order.
inline double SumSquares(void* device, const float* x, int64_t n) {
  constexpr int64_t kParts = 256;
  const int64_t share = (n + kParts - 1) / kParts;
  const int64_t chunk = share > kTaskElements ? RoundUp(share, kLanes) : kTaskElements;
  const int64_t parts = (n + chunk - 1) / chunk;
  double part[kParts];
  ParallelFor(device, parts, [&](int64_t p, Worker&) {
    part[p] = SumSquaresOf(x + p * chunk, Smaller(chunk, n - p * chunk));
  });
  double sum = 0;
  for (int64_t p = 0; p < parts; ++p) sum += part[p];
  return sum;
}

// y is not read when b is 0: it may hold anything.
inline void Axpby(void* device, float a, const float* x, float b, float* y, int64_t n) {
  const Vec av = Set1(a), bv = Set1(b);
  const bool overwrite = b == 0.0f;
  ForChunks(device, n, [&](int64_t begin, int64_t end) {
    ForVectors(begin, end, [&](int64_t i, int64_t k) {
      const Vec ax = Mul(av, LoadN(x + i, k));
      StoreN(y + i, overwrite ? ax : Fma(bv, LoadN(y + i, k), ax), k);
    });
  });
}

}  // namespace
}  // namespace alignlab
