// A stand-in for cuBLASLt: plain loops that follow its descriptors, columns first. As the real one
// does, it chooses the order of a sum by the shape of the product.
#pragma once

#include "cuda/cublas_abi.h"

namespace alignlab::cuda::emulation {

// Refuses what cuBLASLt would: unknown attributes, operands that do not fit one another.
const cublas::Functions& CublasStandIn();

// Products so far, and descriptors that were made and not given back.
struct CublasUse {
  int products, descriptors;
};
CublasUse UseOfCublas();

}  // namespace alignlab::cuda::emulation
