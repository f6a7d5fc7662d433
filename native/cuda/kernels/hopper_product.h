// The bf16 products of linear.h by Hopper's own instructions.
#pragma once

#include "cuda/kernels/linear.h"

namespace alignlab::cuda {

// False when the device does not use them or they do not take the operands (BoxedMatrix::Fits);
// then nothing was written.
template <Along kA, Along kB>
bool MultiplyByHopper(Device& device, const Operands<uint16_t>& of, const StoreOutputs& to);

}  // namespace alignlab::cuda
