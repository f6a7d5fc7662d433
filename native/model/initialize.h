// Random starting weights.
#pragma once

#include "model/model.h"

namespace alignlab {

// Matrices and tables from Normal(0, deviation), biases 0, norm weights 1. A value depends on
// (seed, slot, row, column) alone, not on the weight layout.
void Initialize(Model& model, uint64_t seed, float deviation);

}  // namespace alignlab
