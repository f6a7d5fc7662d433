// The products of linear.h in bf16.
#include "cuda/kernels/linear_products.h"

namespace alignlab::cuda {

template void ForwardProduct(Device&, const Operands<uint16_t>&, const StoreOutputs&);
template void InputGradProduct(Device&, const Operands<uint16_t>&, const StoreOutputs&);
template void WeightGradProduct(Device&, const Operands<uint16_t>&, const StoreOutputs&);

}  // namespace alignlab::cuda
