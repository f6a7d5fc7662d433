// What the tiles of the head's product leave behind, by either kind of kernel.
#pragma once

#include "cuda/kernels/linear.h"
#include "cuda/kernels/vocabulary_sums.h"

namespace alignlab::cuda {

struct HeadOutputs {
  VocabularySums* sums;    // (m, tiles along the vocabulary)
  const int32_t* targets;  // or null
  float* logprob;          // gets the target's logit
  float* logits;           // or null
  int64_t logits_stride;
};

// Tiles along the vocabulary, or 0 as MultiplyByHopperTiles is false (hopper_product_kernel.h).
int64_t HeadByHopper(Device& device, const Operands<uint16_t>& of, const HeadOutputs& to);

}  // namespace alignlab::cuda
