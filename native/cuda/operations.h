// The CUDA operations by name; each file of kernels/ defines some, table.cc collects them.
// backend/backend.h says what they mean.
#pragma once

#include "backend/backend.h"

namespace alignlab::cuda {

void Linear(void* device, const LinearArgs& args);
void LinearInputGrad(void* device, const LinearInputGradArgs& args);
void LinearWeightGrad(void* device, const LinearWeightGradArgs& args);
void Head(void* device, const HeadArgs& args);
void HeadBackward(void* device, const HeadBackwardArgs& args);
void HeadKl(void* device, const HeadKlArgs& args);
void Convert(void* device, Tensor src, Tensor dst);
void GatherRows(void* device, Tensor src, const int64_t* rows, Tensor dst);
void ScatterAddRows(void* device, Tensor src, const int64_t* rows, Tensor dst);
void Axpby(void* device, float a, const float* x, float b, float* y, int64_t n);

}  // namespace alignlab::cuda
