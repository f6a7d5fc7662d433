// RMS norm and layer norm. Means and variances are sums over columns in one fixed tree; variance is
// taken about the mean (two passes over a row that is in L1), never as E[x^2] - E[x]^2.
#pragma once

#include "cpu/kernels/rows.h"

namespace alignlab {
namespace {

struct RowStats {
  float mean, rstd;
};

inline RowStats RmsStats(const float* x, int64_t cols, float eps) {
  const float sum = SumColumns(cols, [&](int64_t c, int64_t n) {
    const Vec v = LoadN(x + c, n);
    return Mul(v, v);
  });
  return {0.0f, 1.0f / __builtin_sqrtf(sum / float(cols) + eps)};
}

inline RowStats LayerStats(const float* x, int64_t cols, float eps) {
  const float sum = SumColumns(cols, [&](int64_t c, int64_t n) { return LoadN(x + c, n); });
  const float mean = sum / float(cols);
  const Vec mean_lanes = Set1(mean);
  const float squares = SumColumns(cols, [&](int64_t c, int64_t n) {
    const Vec v = Sub(LoadN(x + c, n), mean_lanes);
    const Vec square = Mul(v, v);
    return n >= kLanes ? square : Select(FirstLanes(int(n)), square, Zero());
  });
  return {mean, 1.0f / __builtin_sqrtf(squares / float(cols) + eps)};
}

template <class Out>
inline void NormRow(const NormArgs& args, int64_t r, Out* y) {
  const int64_t cols = args.x.cols;
  const float* x = args.x.f32() + r * args.x.stride;
  const bool layer = args.kind == NormKind::kLayer;
  const RowStats stats = layer ? LayerStats(x, cols, args.eps) : RmsStats(x, cols, args.eps);
  if (args.stats) {
    args.stats[2 * r] = stats.mean;
    args.stats[2 * r + 1] = stats.rstd;
  }
  const Vec mean = Set1(stats.mean), rstd = Set1(stats.rstd);
  if (layer) {
    ForVectors(0, cols, [&](int64_t c, int64_t n) {
      const Vec normal = Mul(Sub(LoadN(x + c, n), mean), rstd);
      const Vec bias = args.bias ? LoadN(args.bias + c, n) : Zero();
      StoreN(y + c, Fma(normal, LoadN(args.weight + c, n), bias), n);
    });
  } else {
    ForVectors(0, cols, [&](int64_t c, int64_t n) {
      const Vec normal = Mul(LoadN(x + c, n), rstd);
      StoreN(y + c, Mul(normal, LoadN(args.weight + c, n)), n);
    });
  }
}

inline void Norm(void* device, const NormArgs& args) {
  ForRows(device, args.x.rows, args.x.cols, [&](int64_t r) {
    if (args.y.dtype == DType::kF32)
      NormRow(args, r, args.y.f32() + r * args.y.stride);
    else
      NormRow(args, r, args.y.bf16() + r * args.y.stride);
  });
}

// With n = (x - mean) rstd and g = d_y weight, both means over the columns:
// d_x += rstd (g - [layer] mean(g) - n mean(g n)).
inline void NormBackwardRow(const NormBackwardArgs& args, int64_t r) {
  const int64_t cols = args.x.cols;
  const float* x = args.x.f32() + r * args.x.stride;
  const float* d_y = args.d_y.f32() + r * args.d_y.stride;
  float* d_x = args.d_x.f32() + r * args.d_x.stride;
  const Vec mean = Set1(args.stats[2 * r]), rstd = Set1(args.stats[2 * r + 1]);
  const auto normal = [&](int64_t c, int64_t n) { return Mul(Sub(LoadN(x + c, n), mean), rstd); };
  const auto slope = [&](int64_t c, int64_t n) {
    return Mul(LoadN(d_y + c, n), LoadN(args.weight + c, n));
  };
  // Lanes past the last column hold d_y = 0, so both terms are zero there.
  const float g_n =
      SumColumns(cols, [&](int64_t c, int64_t n) { return Mul(slope(c, n), normal(c, n)); });
  const float g = args.kind == NormKind::kLayer ? SumColumns(cols, slope) : 0.0f;
  const Vec mean_g_n = Set1(-g_n / float(cols)), mean_g = Set1(g / float(cols));
  ForVectors(0, cols, [&](int64_t c, int64_t n) {
    const Vec centred = Fma(normal(c, n), mean_g_n, Sub(slope(c, n), mean_g));
    StoreN(d_x + c, Fma(centred, rstd, LoadN(d_x + c, n)), n);
  });
}

// d_weight += sum_r d_y n, d_bias += sum_r d_y, in partial sums of kRowChunk rows (shorter chains
// of roundings than one sum over all rows).
inline void NormParameterGrad(const NormBackwardArgs& args, int64_t c, int64_t n) {
  constexpr int64_t kRowChunk = 64;
  Vec weight = LoadN(args.d_weight + c, n);
  Vec bias = args.d_bias ? LoadN(args.d_bias + c, n) : Zero();
  for (int64_t begin = 0; begin < args.x.rows; begin += kRowChunk) {
    Vec weight_part = Zero(), bias_part = Zero();
    for (int64_t r = begin; r < Smaller(args.x.rows, begin + kRowChunk); ++r) {
      const Vec x = LoadN(args.x.f32() + r * args.x.stride + c, n);
      const Vec d_y = LoadN(args.d_y.f32() + r * args.d_y.stride + c, n);
      const Vec normal = Mul(Sub(x, Set1(args.stats[2 * r])), Set1(args.stats[2 * r + 1]));
      weight_part = Fma(d_y, normal, weight_part);
      bias_part = Add(bias_part, d_y);
    }
    weight = Add(weight, weight_part);
    bias = Add(bias, bias_part);
  }
  StoreN(args.d_weight + c, weight, n);
  if (args.d_bias) StoreN(args.d_bias + c, bias, n);
}

inline void NormBackward(void* device, const NormBackwardArgs& args) {
  ForRows(device, args.x.rows, args.x.cols, [&](int64_t r) { NormBackwardRow(args, r); });
  if (!args.d_weight) return;
  ForColumnBlocks(device, args.x.cols, [&](int64_t begin, int64_t end) {
    ForVectors(begin, end, [&](int64_t c, int64_t n) { NormParameterGrad(args, c, n); });
  });
}

}  // namespace
}  // namespace alignlab
