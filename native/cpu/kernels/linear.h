// Linear, LinearInputGrad, LinearWeightGrad over panel-packed weights.
#pragma once

#include "cpu/kernels/linear_grad.h"
#include "cpu/kernels/linear_task.h"
#if defined(__AMX_BF16__)
#include "cpu/kernels/linear_amx.h"
#endif

namespace alignlab {
namespace {

inline void Linear(void* device, const LinearArgs& args) {
  if (args.x.rows == 0 || args.weight.out == 0) return;
  if (args.weight.dtype == DType::kF32)
    RunTasks(device, LinearTask<float>(device, args));
  else
    RunTasks(device, LinearTask<uint16_t>(device, args));
}

inline void LinearInputGrad(void* device, const LinearInputGradArgs& args) {
  if (args.d_y.rows == 0 || args.weight.in == 0) return;
  if (args.weight.dtype == DType::kF32)
    RunTasks(device, InputGradTask<float>(device, args));
  else
    RunTasks(device, InputGradTask<uint16_t>(device, args));
}

inline void LinearWeightGrad(void* device, const LinearWeightGradArgs& args) {
  if (args.x.rows == 0 || args.d_weight.in == 0 || args.d_weight.out == 0) return;
  if (args.x.dtype == DType::kF32)
    WeightGrad<float>(device, args);
  else
    WeightGrad<uint16_t>(device, args);
}

}  // namespace
}  // namespace alignlab
