#include <algorithm>

#include "cuda/kernels/hopper_product.h"
#include "cuda/kernels/hopper_tile.h"

namespace alignlab::cuda {

namespace {

struct ProductSize {
  int64_t m, n;
  int steps;
};

// As many blocks as multiprocessors, each of which takes every so manieth tile: copies for the next
// tile run while this one is stored.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    HopperProductKernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                        ProductSize of, StoreOutputs to) {
#if ALIGNLAB_HOPPER
  const auto ring = Tile::Ring::OfBlock();
  if (threadIdx.x == 0) ring.Init();
  __syncthreads();
  const int64_t tiles = CeilDiv(of.m, Tile::kRows) * CeilDiv(of.n, Tile::kCols);
  RingPlace at;
  // 40 + 2 * 232 registers a thread are a multiprocessor's 512.
  if (threadIdx.x < kWarpgroup) {
    KeepRegisters<40>();
    if (threadIdx.x > 0) return;
    for (int64_t i = blockIdx.x; i < tiles; i += gridDim.x)
      Tile::Copy(ring, at, a, b, PlaceOf<Tile>(i, of.m, of.n), of.steps);
  } else {
    TakeRegisters<232>();
    for (int64_t i = blockIdx.x; i < tiles; i += gridDim.x) {
      const TilePlace place = PlaceOf<Tile>(i, of.m, of.n);
      Tile tile;
      tile.Sum(ring, at, of.steps);
      tile.Emit(place, of.m, of.n, to);
    }
  }
#endif
}

__global__ void IsCompiled(uint32_t* to) { *to = ALIGNLAB_HOPPER; }

template <Along kAlong, int kWidth>
BoxedMatrix Boxed(const MatrixView<uint16_t>& x, int64_t depth) {
  const int box_rows = HopperPiece<kAlong, kWidth>::kBoxRows;
  if (kAlong == Along::kDepth) return {x.data, x.rows, depth, x.stride, box_rows};
  return {x.data, depth, x.cols, x.stride, box_rows};
}

template <int kCols, Along kA, Along kB>
bool LaunchTiles(Device& device, const Operands<uint16_t>& of, int64_t depth,
                 const StoreOutputs& to) {
  using Tile = HopperTile<kCols, kA, kB>;
  const BoxedMatrix a = Boxed<kA, Tile::kRows>(of.a, depth);
  const BoxedMatrix b = Boxed<kB, Tile::kCols>(of.b, depth);
  if (!a.Fits() || !b.Fits()) return false;
  const int64_t blocks =
      std::min<int64_t>(TilesOf<Tile>(of.m, of.n).x, device.properties().multiprocessors);
  Launch(device, HopperProductKernel<Tile>, {blocks}, Tile::kThreads, Tile::kSharedBytes,
         MakeTensorMap(a), MakeTensorMap(b),
         ProductSize{of.m, of.n, int(CeilDiv(depth, kHopperDepth))}, to);
  return true;
}

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
  constexpr int kNarrow = 128, kWide = 256;
  // A tile of which less than half would be used is left to smaller ones.
  const int64_t least = device.hopper() == HopperUse::kLarge ? 64 : 0;
  if (device.hopper() == HopperUse::kNever || of.m <= least || of.n <= least) return false;
  const auto depth_of = [](const MatrixView<uint16_t>& x, Along along) {
    return along == Along::kDepth ? x.cols : x.rows;
  };
  // Terms that only one of the operands has are zero.
  const int64_t depth = std::min({of.depth, depth_of(of.a, kA), depth_of(of.b, kB)});
  const int64_t wide = TilesOf<HopperTile<kWide, kA, kB>>(of.m, of.n).x;
  if (of.n > kNarrow && wide >= device.properties().multiprocessors)
    return LaunchTiles<kWide, kA, kB>(device, of, depth, to);
  return LaunchTiles<kNarrow, kA, kB>(device, of, depth, to);
}

template bool MultiplyByHopper<Along::kDepth, Along::kDepth>(Device&, const Operands<uint16_t>&,
                                                             const StoreOutputs&);
template bool MultiplyByHopper<Along::kDepth, Along::kOutput>(Device&, const Operands<uint16_t>&,
                                                              const StoreOutputs&);
template bool MultiplyByHopper<Along::kOutput, Along::kOutput>(Device&, const Operands<uint16_t>&,
                                                               const StoreOutputs&);

}  // namespace alignlab::cuda
