// Weight panels between f32 and bf16, element by element: rounding to nearest even, zero padding.
#pragma once

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

inline void PackWeight(Weight f32, Weight bf16, int64_t panel = 16) {
  const int64_t in = f32.in;
  for (int64_t o = 0; o < RoundUp(f32.out, panel); ++o)
    for (int64_t i = 0; i < RoundUp(in, 2); ++i) {
      const bool exists = o < f32.out && i < in;
      const double value = exists ? WeightValue(f32, o, i, panel) : 0;
      bf16.bf16()[WeightIndex(bf16, o, i, panel)] = Bf16OfFloat(float(value));
    }
}

inline void UnpackWeight(Weight bf16, Weight f32, int64_t panel = 16) {
  for (int64_t o = 0; o < RoundUp(f32.out, panel); ++o)
    for (int64_t i = 0; i < f32.in; ++i) {
      const double value = o < f32.out ? WeightValue(bf16, o, i, panel) : 0;
      f32.f32()[WeightIndex(f32, o, i, panel)] = float(value);
    }
}

}  // namespace alignlab::reference
