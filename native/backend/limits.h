// What this machine can do at most, measured: the ruler of the benches.
#pragma once

#include "backend/backend.h"

namespace alignlab {

struct MachineLimits {
  double f32_flops, bf16_flops;  // floating-point operations per second, all of the device
  double bytes;                  // bytes per second read from its memory
};

// Takes about a second, on a GPU as on a CPU.
MachineLimits MeasureMachine(const Backend& backend);

}  // namespace alignlab
