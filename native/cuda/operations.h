// The CUDA operations by name; each file of kernels/ defines some, table.cc collects them.
// backend/backend.h says what they mean.
#pragma once

#include "backend/backend.h"

namespace alignlab::cuda {

void Convert(void* device, Tensor src, Tensor dst);
void GatherRows(void* device, Tensor src, const int64_t* rows, Tensor dst);
void ScatterAddRows(void* device, Tensor src, const int64_t* rows, Tensor dst);
void Attention(void* device, const AttentionArgs& args);
void AttentionBackward(void* device, const AttentionBackwardArgs& args);
void Axpby(void* device, float a, const float* x, float b, float* y, int64_t n);

}  // namespace alignlab::cuda
