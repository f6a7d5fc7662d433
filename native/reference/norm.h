// Norm and NormBackward by definition.
#pragma once

#include <cmath>

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

inline void Norm(const NormArgs& args) {
  const bool layer = args.kind == NormKind::kLayer;
  const int64_t cols = args.x.cols;
  for (int64_t r = 0; r < args.x.rows; ++r) {
    double mean = 0, square = 0;
    if (layer)
      for (int64_t c = 0; c < cols; ++c) mean += Value(args.x, r, c) / double(cols);
    for (int64_t c = 0; c < cols; ++c) square += std::pow(Value(args.x, r, c) - mean, 2);
    const double rstd = 1 / std::sqrt(square / double(cols) + args.eps);
    for (int64_t c = 0; c < cols; ++c) {
      const double bias = layer && args.bias ? args.bias[c] : 0;
      SetValue(args.y, r, c, (Value(args.x, r, c) - mean) * rstd * args.weight[c] + bias);
    }
    if (args.stats) {
      args.stats[2 * r] = float(mean);
      args.stats[2 * r + 1] = float(rstd);
    }
  }
}

// n = (x - mean) rstd, g = d_y weight:  d_x += rstd (g - [layer] mean(g) - n mean(g n)).
inline void NormBackward(const NormBackwardArgs& args) {
  const int64_t cols = args.x.cols;
  for (int64_t r = 0; r < args.x.rows; ++r) {
    const double mean = args.stats[2 * r], rstd = args.stats[2 * r + 1];
    double mean_g = 0, mean_g_n = 0;
    for (int64_t c = 0; c < cols; ++c) {
      const double g = Value(args.d_y, r, c) * args.weight[c] / double(cols);
      if (args.kind == NormKind::kLayer) mean_g += g;
      mean_g_n += g * (Value(args.x, r, c) - mean) * rstd;
    }
    for (int64_t c = 0; c < cols; ++c) {
      const double n = (Value(args.x, r, c) - mean) * rstd, d_y = Value(args.d_y, r, c);
      const double d_x = rstd * (d_y * args.weight[c] - mean_g - n * mean_g_n);
      SetValue(args.d_x, r, c, Value(args.d_x, r, c) + d_x);
    }
  }
  for (int64_t c = 0; c < cols && args.d_weight; ++c) {
    double weight = args.d_weight[c], bias = args.d_bias ? args.d_bias[c] : 0;
    for (int64_t r = 0; r < args.x.rows; ++r) {
      const double d_y = Value(args.d_y, r, c);
      weight += d_y * (Value(args.x, r, c) - args.stats[2 * r]) * args.stats[2 * r + 1];
      bias += d_y;
    }
    args.d_weight[c] = float(weight);
    if (args.d_bias) args.d_bias[c] = float(bias);
  }
}

}  // namespace alignlab::reference
