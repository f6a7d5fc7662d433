#include "cuda/kernels/hopper_product.h"
#include "cuda/kernels/hopper_product_kernel.h"

namespace alignlab::cuda {

namespace {

__global__ void IsCompiled(uint32_t* to) { *to = ALIGNLAB_HOPPER; }

}  // namespace

bool HopperRuns(Device& device) {
  const GpuProperties& p = device.properties();
  if (p.major != 9 || p.minor != 0 || !HasTensorMaps()) return false;
  const Operation op(&device);
  uint32_t compiled = 0, *to = device.Scratch<uint32_t>(1);
  Launch(device, IsCompiled, {1}, 1, 0, to);
  device.CopyOut(&compiled, to, 1);
  return compiled != 0;
}

template <Along kA, Along kB>
bool MultiplyByHopper(Device& device, const Operands<uint16_t>& of, const StoreOutputs& to) {
  using A = HopperPiece<kA, 128>;
  using Narrow = HopperTile<A, HopperPiece<kB, 128>>;
  using Wide = HopperTile<A, HopperPiece<kB, 256>>;
  return MultiplyByHopperTiles<Narrow, Wide>(device, of, to);
}

template bool MultiplyByHopper<Along::kDepth, Along::kDepth>(Device&, const Operands<uint16_t>&,
                                                             const StoreOutputs&);
template bool MultiplyByHopper<Along::kDepth, Along::kOutput>(Device&, const Operands<uint16_t>&,
                                                              const StoreOutputs&);
template bool MultiplyByHopper<Along::kOutput, Along::kOutput>(Device&, const Operands<uint16_t>&,
                                                               const StoreOutputs&);

}  // namespace alignlab::cuda
