// One optimiser step over a model's flat buffers.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace alignlab {

struct AdamWSettings {
  float lr, beta1, beta2, eps, weight_decay;
  float max_grad_norm;          // 0: no clipping
  std::vector<uint8_t> decays;  // per slot: does weight_decay apply to it
};

// Euclidean norm of all gradients together.
double GradientNorm(Model& model);
// Clips by the global norm, makes one AdamW step, clears the gradients; returns the norm before
// clipping. Throws NON_FINITE when that norm is not finite: the weights are as before, the
// gradients are cleared.
double AdamWStep(Model& model, const AdamWSettings& settings);

}  // namespace alignlab
