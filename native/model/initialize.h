// Random starting weights.
#pragma once

#include "backend/lanes.h"
#include "cancel.h"
#include "model/model.h"

namespace alignlab {

// Matrices and tables from Normal(0, deviation), biases 0, norm weights 1. A value depends on
// (seed, slot, row, column) alone: not on the weight layout, nor on who draws it.
void Initialize(Model& model, uint64_t seed, float deviation, Lanes& lanes,
                const CancelToken& cancel);

}  // namespace alignlab
