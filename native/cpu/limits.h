// What this machine can do at most, measured: the ruler of the benches.
#pragma once

#include "backend/backend.h"

namespace alignlab {

struct MachineLimits {
  double f32_flops, bf16_flops;  // floating-point operations per second, all threads
  double bytes;                  // bytes per second read from memory, all threads
};

// Takes about a second.
MachineLimits MeasureMachine(const Backend& backend);

}  // namespace alignlab
