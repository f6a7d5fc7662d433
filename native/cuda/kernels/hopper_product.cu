#include "cuda/column_sum.h"
#include "cuda/kernels/hopper_product.h"
#include "cuda/kernels/hopper_product_kernel.h"

namespace alignlab::cuda {

namespace {

// Parts of a sum, (parts, m, n), to be added up.
struct StoreParts {
  StoreOutputs first;
  int64_t elements;  // of a part
};
[[maybe_unused]] __device__ __forceinline__ StoreOutputs PartOf(const StoreParts& to,
                                                                int64_t part) {
  StoreOutputs own = to.first;
  own.to = static_cast<float*>(own.to) + part * to.elements;
  return own;
}

// A gradient of few outputs is a sum over many tokens: its tiles alone would leave most
// multiprocessors idle. Each part reads its own tokens, no fewer than this.
constexpr int64_t kTermsOfPart = 1024;

template <class Tile>
bool AddInParts(Device& device, const Operands<uint16_t>& of, const StoreOutputs& to) {
  const int64_t tiles = TilesOf<Tile>(of.m, of.n).x;
  const int parts = int(std::min(device.properties().multiprocessors / std::max<int64_t>(tiles, 1),
                                 CeilDiv(of.depth, kTermsOfPart)));
  if (parts < 2 || to.bf16 || to.bias || !to.accumulate || to.stride != of.n) return false;
  if (!HopperTakes(device, of.m, of.n)) return false;
  float* sums = device.Scratch<float>(parts * of.m * of.n);
  const StoreOutputs first({sums, DType::kF32, of.m, of.n, of.n}, nullptr, false);
  if (!LaunchHopperProduct<Tile>(device, of, StoreParts{first, of.m * of.n}, parts)) return false;
  AddColumnSums(device, sums, parts, of.m * of.n, of.m * of.n, static_cast<float*>(to.to));
  return true;
}

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
  using Tiles = HopperTilesFor<kA, kB>;
  if constexpr (kA == Along::kOutput)
    if (AddInParts<typename Tiles::Narrow>(device, of, to)) return true;
  return MultiplyByHopperTiles<Tiles>(device, of, to);
}

template bool MultiplyByHopper<Along::kDepth, Along::kDepth>(Device&, const Operands<uint16_t>&,
                                                             const StoreOutputs&);
template bool MultiplyByHopper<Along::kDepth, Along::kOutput>(Device&, const Operands<uint16_t>&,
                                                              const StoreOutputs&);
template bool MultiplyByHopper<Along::kOutput, Along::kOutput>(Device&, const Operands<uint16_t>&,
                                                               const StoreOutputs&);

}  // namespace alignlab::cuda
