// The bf16 products of linear.h by Hopper's own instructions.
#pragma once

#include "cuda/kernels/linear.h"

namespace alignlab::cuda {

// False as MultiplyByHopperTiles says it (hopper_product_kernel.h).
template <Along kA, Along kB>
bool MultiplyByHopper(Device& device, const Operands<uint16_t>& of, const StoreOutputs& to);

}  // namespace alignlab::cuda
