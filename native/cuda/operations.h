// The CUDA operations by name; each file of kernels/ defines some, table.cc collects them.
// backend/backend.h and backend/control_operations.h say what they mean.
#pragma once

#include "backend/backend.h"
#include "backend/control_operations.h"

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
bool LinearActivation(void* device, const LinearActivationArgs& args);
bool LinearInputGradActivation(void* device, const LinearInputGradActivationArgs& args);
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

void Uniforms(void* device, const RandomArgs& args);
void Normals(void* device, const RandomArgs& args);
void DrawRows(void* device, const DrawRowsArgs& args);
void Adam(void* device, const AdamArgs& args);
void Relu(void* device, Tensor y);
void ReluBackward(void* device, Tensor y, Tensor d);
void Squash(void* device, const SquashArgs& args);
void ActorLoss(void* device, const ActorLossArgs& args);
void PolicyGradient(void* device, const PolicyGradientArgs& args);
void Targets(void* device, const TargetArgs& args);
void DiscriminatorLoss(void* device, const DiscriminatorLossArgs& args);
void RatioInputs(void* device, const RatioInputsArgs& args);
void LogRatios(void* device, const LogRatiosArgs& args);
void Weigh(void* device, const WeighArgs& args);
void ConservativeInputs(void* device, const ConservativeInputsArgs& args);
void ConservativeLoss(void* device, const ConservativeLossArgs& args);
void CriticLoss(void* device, const CriticLossArgs& args);

}  // namespace alignlab::cuda
