// Linear layers as plain loops in double: what `linear`, `linear_input_grad` and
// `linear_weight_grad` mean. `panel` is the panel width of the weights.
#pragma once

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

inline void Linear(const LinearArgs& args, int64_t panel = panel_width) {
  const int64_t in = args.weight.in, out = args.weight.out;
  for (int64_t t = 0; t < args.x.rows; ++t)
    for (int64_t o = 0; o < out; ++o) {
      double sum = 0;
      for (int64_t i = 0; i < in; ++i)
        sum += Value(args.x, t, i) * WeightValue(args.weight, o, i, panel);
      if (args.bias) sum += args.bias[o];
      if (args.accumulate) sum += Value(args.y, t, o);
      SetValue(args.y, t, o, sum);
    }
}

inline void LinearInputGrad(const LinearInputGradArgs& args, int64_t panel = panel_width) {
  const int64_t in = args.weight.in, out = args.weight.out;
  for (int64_t t = 0; t < args.d_y.rows; ++t)
    for (int64_t i = 0; i < in; ++i) {
      double sum = args.accumulate ? Value(args.d_x, t, i) : 0;
      for (int64_t o = 0; o < out; ++o)
        sum += Value(args.d_y, t, o) * WeightValue(args.weight, o, i, panel);
      SetValue(args.d_x, t, i, sum);
    }
}

inline void LinearWeightGrad(const LinearWeightGradArgs& args, int64_t panel = panel_width) {
  const int64_t in = args.d_weight.in, out = args.d_weight.out, tokens = args.x.rows;
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t i = 0; i < in; ++i) {
      double sum = WeightValue(args.d_weight, o, i, panel);
      for (int64_t t = 0; t < tokens; ++t) sum += Value(args.d_y, t, o) * Value(args.x, t, i);
      args.d_weight.f32()[WeightIndex(args.d_weight, o, i, panel)] = float(sum);
    }
    if (!args.d_bias) continue;
    double sum = args.d_bias[o];
    for (int64_t t = 0; t < tokens; ++t) sum += Value(args.d_y, t, o);
    args.d_bias[o] = float(sum);
  }
}

}  // namespace alignlab::reference
