// AdamW by definition.
#pragma once

#include <cmath>

#include "backend/backend.h"

namespace alignlab::reference {

inline void AdamW(const AdamWArgs& args) {
  for (int64_t i = 0; i < args.n; ++i) {
    const double g = double(args.g[i]) * args.grad_scale;
    const double m = args.beta1 * double(args.m[i]) + (1 - double(args.beta1)) * g;
    const double v = args.beta2 * double(args.v[i]) + (1 - double(args.beta2)) * g * g;
    const double step = (m / args.bias1) / (std::sqrt(v / args.bias2) + args.eps);
    args.w[i] = float(args.w[i] - args.lr * (args.weight_decay * double(args.w[i]) + step));
    args.m[i] = float(m);
    args.v[i] = float(v);
    args.g[i] = 0;
  }
}

}  // namespace alignlab::reference
