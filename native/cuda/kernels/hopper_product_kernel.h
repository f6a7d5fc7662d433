// The kernel that multiplies by the tiles of hopper_tile.h, for the files that give it an epilogue.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/kernels/hopper_tile.h"
#include "cuda/kernels/linear.h"

namespace alignlab::cuda {

// The sum is cut into parts of so many steps each, one tile of each part being a tile of its own;
// steps past the end of the operands add zeros.
struct ProductSize {
  int64_t m, n;
  int steps, parts;
};

// Where the outputs of a part go; an epilogue without an overload has one part.
template <class Epilogue>
__device__ __forceinline__ const Epilogue& PartOf(const Epilogue& to, int64_t) {
  return to;
}

// As many blocks as multiprocessors, each of which takes every so manieth tile: copies for the next
// tile run while this one is stored.
template <class Tile, class Epilogue>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    HopperProductKernel(const __grid_constant__ typename Tile::PieceA::Source a,
                        const __grid_constant__ typename Tile::PieceB::Source b, ProductSize of,
                        Epilogue to) {
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
    for (int64_t i = blockIdx.x; i < tiles * of.parts; i += gridDim.x)
      Tile::Copy(ring, at, a, b, PlaceOf<Tile>(i % tiles, of.m, of.n), int(i / tiles) * of.steps,
                 of.steps);
  } else {
    TakeRegisters<232>();
    for (int64_t i = blockIdx.x; i < tiles * of.parts; i += gridDim.x) {
      const TilePlace place = PlaceOf<Tile>(i % tiles, of.m, of.n);
      Tile tile;
      tile.Sum(ring, at, of.steps);
      tile.Emit(place, of.m, of.n, PartOf(to, i / tiles));
    }
  }
#endif
}

// Terms of an operand.
template <class Piece>
int64_t DepthOf(const MatrixView<uint16_t>& x) {
  return Piece::kAcross ? x.rows : x.cols;
}

// The boxes in which a piece of the operand is copied; terms from `depth` on are zero.
template <class Piece>
BoxedMatrix Boxed(const MatrixView<uint16_t>& x, int64_t depth) {
  if (!Piece::kAcross) return {x.data, x.rows, depth, x.stride, Piece::kBoxRows};
  return {x.data, depth, x.cols, x.stride, Piece::kBoxRows};
}

// The second half of paired rows begins behind the first, which has as many as there are outputs.
template <class Piece>
typename Piece::Source SourceOf(const BoxedMatrix& boxed, int64_t outputs) {
  if constexpr (std::is_same_v<typename Piece::Source, PairedRows>)
    return {MakeTensorMap(boxed), int(outputs)};
  else
    return MakeTensorMap(boxed);
}

template <class Tile, class Epilogue>
bool LaunchHopperProduct(Device& device, const Operands<uint16_t>& of, const Epilogue& to,
                         int parts = 1) {
  using A = typename Tile::PieceA;
  using B = typename Tile::PieceB;
  // Terms that only one of the operands has are zero.
  const int64_t depth = std::min({of.depth, DepthOf<A>(of.a), DepthOf<B>(of.b)});
  const BoxedMatrix a = Boxed<A>(of.a, depth), b = Boxed<B>(of.b, depth);
  if (!a.Fits() || !b.Fits()) return false;
  const int64_t blocks =
      std::min<int64_t>(TilesOf<Tile>(of.m, of.n).x * parts, device.properties().multiprocessors);
  Launch(device, HopperProductKernel<Tile, Epilogue>, {blocks}, Tile::kThreads, Tile::kSharedBytes,
         SourceOf<A>(a, of.m), SourceOf<B>(b, of.n),
         ProductSize{of.m, of.n, int(CeilDiv(CeilDiv(depth, kHopperDepth), parts)), parts}, to);
  return true;
}

// Whether a product of this size is worth it: a tile of which less than half would be used is left
// to smaller ones.
inline bool HopperTakes(const Device& device, int64_t m, int64_t n) {
  const int64_t least = device.hopper() == HopperUse::kLarge ? 64 : 0;
  return device.hopper() != HopperUse::kNever && m > least && n > least;
}

template <Along kA, Along kB>
struct HopperTilesFor {
  using A = HopperPiece<kA, 128>;
  using Narrow = HopperTile<A, HopperPiece<kB, 128>>;
  using Wide = HopperTile<A, HopperPiece<kB, 256>>;
};
// x W^T for a W of two halves.
struct PairedHopperTiles {
  using Narrow = PairedTile<64>;
  using Wide = PairedTile<128>;
};

// By tiles of twice the width where these give every multiprocessor one. False when the device does
// not use them or they do not take the operands (BoxedMatrix::Fits); then nothing was written.
template <class Tiles, class Epilogue>
bool MultiplyByHopperTiles(Device& device, const Operands<uint16_t>& of, const Epilogue& to) {
  using Narrow = typename Tiles::Narrow;
  using Wide = typename Tiles::Wide;
  if (!HopperTakes(device, of.m, of.n)) return false;
  const int64_t wide = TilesOf<Wide>(of.m, of.n).x;
  if (of.n > Narrow::kCols && wide >= device.properties().multiprocessors)
    return LaunchHopperProduct<Wide>(device, of, to);
  return LaunchHopperProduct<Narrow>(device, of, to);
}

// A product whose epilogue does what an operation of its own would do behind it. cuBLASLt, which
// has none, multiplies faster than tiles that are not Hopper's: then false, as above.
template <class HopperTiles, class Tiles, class Epilogue>
bool MultiplyWithEpilogue(Device& device, const Operands<uint16_t>& of, const Epilogue& to) {
  if (MultiplyByHopperTiles<HopperTiles>(device, of, to)) return true;
  if (device.cublas() || !of.a.Aligned() || !of.b.Aligned()) return false;
  MultiplyAligned<Tiles>(device, of, to);
  return true;
}

}  // namespace alignlab::cuda
