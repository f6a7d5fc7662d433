// ActivationForward and ActivationBackward by definition.
#pragma once

#include <cmath>
#include <numbers>

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

// 1 + tanh and 1 + erf are written as 2 / (1 + exp) and erfc, which do not cancel for x << 0.
inline double Activate(Activation kind, double x) {
  if (kind == Activation::kSiluGated) return x / (1 + std::exp(-x));
  if (kind == Activation::kGeluErf) return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
  const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return x / (1 + std::exp(-2 * u));
}

inline double ActivationSlope(Activation kind, double x) {
  if (kind == Activation::kSiluGated) {
    const double s = 1 / (1 + std::exp(-x));
    return s + x * s * (1 - s);
  }
  if (kind == Activation::kGeluErf) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    return 0.5 * std::erfc(-x / std::numbers::sqrt2) + x * density;
  }
  const double k = std::sqrt(2 / std::numbers::pi);
  const double s = 1 / (1 + std::exp(-2 * k * (x + 0.044715 * x * x * x)));
  return s + x * s * (1 - s) * 2 * k * (1 + 3 * 0.044715 * x * x);
}

inline void ActivationForward(const ActivationArgs& args) {
  const int64_t width = args.out.cols;
  for (int64_t r = 0; r < args.out.rows; ++r)
    for (int64_t c = 0; c < width; ++c) {
      const double up = IsGated(args.kind) ? Value(args.x, r, width + c) : 1;
      SetValue(args.out, r, c, Activate(args.kind, Value(args.x, r, c)) * up);
    }
}

inline void ActivationBackward(const ActivationBackwardArgs& args) {
  const int64_t width = args.d_out.cols;
  for (int64_t r = 0; r < args.d_out.rows; ++r)
    for (int64_t c = 0; c < width; ++c) {
      const double x = Value(args.x, r, c), d = Value(args.d_out, r, c);
      const double up = IsGated(args.kind) ? Value(args.x, r, width + c) : 1;
      if (IsGated(args.kind)) SetValue(args.d_x, r, width + c, d * Activate(args.kind, x));
      SetValue(args.d_x, r, c, d * up * ActivationSlope(args.kind, x));
    }
}

}  // namespace alignlab::reference
