// The CUDA operations by name; each file of kernels/ defines some, table.cc collects them.
// backend/backend.h says what they mean.
#pragma once

#include "backend/backend.h"

namespace alignlab::cuda {

void Embed(void* device, const EmbedArgs& args);
void EmbedBackward(void* device, const EmbedBackwardArgs& args);
void Norm(void* device, const NormArgs& args);
void NormBackward(void* device, const NormBackwardArgs& args);
void Qkv(void* device, const QkvArgs& args);
void QkvBackward(void* device, const QkvBackwardArgs& args);
void ActivationForward(void* device, const ActivationArgs& args);
void ActivationBackward(void* device, const ActivationBackwardArgs& args);
void Sample(void* device, const SampleArgs& args);
void AdamW(void* device, const AdamWArgs& args);
void AdamWSplit(void* device, const AdamWArgs& args, SplitWeight weight);
void Linear(void* device, const LinearArgs& args);
void LinearInputGrad(void* device, const LinearInputGradArgs& args);
void LinearWeightGrad(void* device, const LinearWeightGradArgs& args);
void Head(void* device, const HeadArgs& args);
void HeadBackward(void* device, const HeadBackwardArgs& args);
void HeadKl(void* device, const HeadKlArgs& args);
void Convert(void* device, Tensor src, Tensor dst);
void GatherRows(void* device, Tensor src, const int64_t* rows, Tensor dst);
void ScatterAddRows(void* device, Tensor src, const int64_t* rows, Tensor dst);
void SplitWeights(void* device, const float* flat, SplitWeight to);
void JoinWeights(void* device, SplitWeight from, float* flat);
double SumSquares(void* device, const float* x, int64_t n);
void Attention(void* device, const AttentionArgs& args);
void AttentionBackward(void* device, const AttentionBackwardArgs& args);
void Axpby(void* device, float a, const float* x, float b, float* y, int64_t n);
int64_t Burn(void* device, DType dtype, int64_t rounds);

}  // namespace alignlab::cuda
