// The products of linear.h in f32.
#include "cuda/kernels/linear_products.h"

namespace alignlab::cuda {

template void ForwardProduct(Device&, const Operands<float>&, const StoreOutputs&);
template void InputGradProduct(Device&, const Operands<float>&, const StoreOutputs&);
template void WeightGradProduct(Device&, const Operands<float>&, const StoreOutputs&);

}  // namespace alignlab::cuda
