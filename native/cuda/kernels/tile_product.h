// Products A B^T by tiles: copies of the next pieces run while a tile multiplies the present one.
// Any of the tiles gives the same bits (tile_bf16.h, tile_f32.h), so shapes choose freely.
#pragma once

#include <type_traits>

#include "cuda/joined.h"
#include "cuda/kernels/tile_bf16.h"
#include "cuda/kernels/tile_f32.h"

namespace alignlab::cuda {

// A: (m, depth) and B: (n, depth), in memory as their Along says.
template <class T>
struct Operands {
  MatrixView<T> a, b;
  int64_t m, n, depth;
};

template <class Tile, int kStages>
constexpr int kPieceBytes = kStages * (Tile::PieceA::kBytes + Tile::PieceB::kBytes);

// The sums of the tile whose first output is (row, col). All threads have left shared memory then.
template <class Tile, int kStages, bool kAligned>
__device__ __forceinline__ void SumTile(Tile& tile, const Operands<typename Tile::Element>& of,
                                        int64_t row, int64_t col) {
  constexpr int kStageBytes = kPieceBytes<Tile, 1>;
  const int steps = int(CeilDiv(of.depth, Tile::kDepth));
  const auto copy = [&](int step) {
    if (step < steps) {
      char* to = DynamicShared() + step % kStages * kStageBytes;
      const int64_t term = int64_t(step) * Tile::kDepth;
      Tile::PieceA::template Copy<Tile::kThreads, kAligned>(to, of.a, row, term);
      Tile::PieceB::template Copy<Tile::kThreads, kAligned>(to + Tile::PieceA::kBytes, of.b, col,
                                                            term);
    }
    CommitAsync();
  };
  for (int step = 0; step < kStages - 1; ++step) copy(step);
  tile.Clear();
  for (int step = 0; step < steps; ++step) {
    WaitAsync<kStages - 2>();
    __syncthreads();
    copy(step + kStages - 1);
    const char* at = DynamicShared() + step % kStages * kStageBytes;
    tile.Multiply(at, at + Tile::PieceA::kBytes);
  }
  WaitAsync<0>();
  __syncthreads();
}

struct TilePlace {
  int64_t row, col;
};
// Eight tiles down, then the next column: what neighbouring blocks read stays in the cache.
template <class Tile>
__device__ __forceinline__ TilePlace PlaceOf(int64_t block, int64_t m, int64_t n) {
  constexpr int64_t kGroup = 8;
  const int64_t down = CeilDiv(m, Tile::kRows), group = kGroup * CeilDiv(n, Tile::kCols);
  const int64_t first = block / group * kGroup, in_group = block % group;
  const int64_t size = down - first < kGroup ? down - first : kGroup;
  return {(first + in_group % size) * Tile::kRows, in_group / size * Tile::kCols};
}

template <class Tile>
GridSize TilesOf(int64_t m, int64_t n) {
  return {CeilDiv(m, Tile::kRows) * CeilDiv(n, Tile::kCols)};
}

// Large tiles come in twos on a multiprocessor: 128 registers.
template <class Tile>
constexpr int kBlocksOf = Tile::kThreads == 256 ? 2 : 1;

// Whether networks of ensembles have such products: in f32, with an epilogue that says so.
template <class T, class Epilogue>
constexpr bool kInEnsembles = std::is_same_v<T, float> && requires { Epilogue::kInEnsembles; };

template <class Tile, class Epilogue>
struct Product {
  Operands<typename Tile::Element> of;
  Epilogue epilogue;
};
template <class Tile, int kStages, bool kAligned, class Epilogue>
struct ProductBody : BodyOf<Product<Tile, Epilogue>, Tile::kThreads, kBlocksOf<Tile>> {
  static constexpr bool kAlone = !kInEnsembles<typename Tile::Element, Epilogue>;
  __device__ __forceinline__ static void Run(const Product<Tile, Epilogue>& a) {
    const TilePlace at = PlaceOf<Tile>(blockIdx.x, a.of.m, a.of.n);
    Tile tile;
    SumTile<Tile, kStages, kAligned>(tile, a.of, at.row, at.col);
    tile.Emit(at.row, at.col, a.of.m, a.of.n, a.epilogue);
  }
};

// The tiles of either type, large to small, with as many pieces under way as hide the memory.
template <class T, Along kA, Along kB>
struct TilesFor {
  using Large = TensorTile<128, 128, 32, 2, 4, kA, kB>;
  using Middle = TensorTile<64, 64, 64, 2, 2, kA, kB>;
  using Small = TensorTile<16, 32, 64, 1, 2, kA, kB>;
  static constexpr int kLargeStages = 4, kMiddleStages = 4, kSmallStages = 8;
};
template <Along kA, Along kB>
struct TilesFor<float, kA, kB> {
  using Large = PlainTile<4, 8, 16, kA, kB>;
  using Middle = PlainTile<4, 4, 16, kA, kB>;
  using Small = PlainTile<1, 2, 32, kA, kB>;
  static constexpr int kLargeStages = 4, kMiddleStages = 4, kSmallStages = 4;
};

// x W^T for a W of two halves: half as many columns in the same memory.
struct PairedTiles {
  using Large = PairedTensorTile<128, 64, 32, 2, 4>;
  using Middle = PairedTensorTile<64, 32, 64, 2, 2>;
  using Small = PairedTensorTile<16, 16, 64, 1, 2>;
  static constexpr int kLargeStages = 4, kMiddleStages = 4, kSmallStages = 8;
};

template <class Tile, int kStages, bool kAligned, class T, class Epilogue>
void LaunchProduct(Device& device, const Operands<T>& of, const Epilogue& epilogue) {
  LaunchBody<ProductBody<Tile, kStages, kAligned, Epilogue>>(
      device, TilesOf<Tile>(of.m, of.n), kPieceBytes<Tile, kStages>, {of, epilogue});
}

// epilogue gets each output of A B^T once; both operands are Aligned().
template <class Tiles, class T, class Epilogue>
void MultiplyAligned(Device& device, const Operands<T>& of, const Epilogue& epilogue) {
  using Large = typename Tiles::Large;
  using Middle = typename Tiles::Middle;
  // The largest tile that gives every multiprocessor something, without rows that are mostly empty.
  const int64_t wanted = CeilDiv(device.properties().multiprocessors, device.branches());
  if (of.m > Middle::kRows && of.n > Middle::kCols && TilesOf<Large>(of.m, of.n).x >= wanted)
    return LaunchProduct<Large, Tiles::kLargeStages, true>(device, of, epilogue);
  if (of.m > Tiles::Small::kRows && 2 * TilesOf<Middle>(of.m, of.n).x >= wanted)
    return LaunchProduct<Middle, Tiles::kMiddleStages, true>(device, of, epilogue);
  LaunchProduct<typename Tiles::Small, Tiles::kSmallStages, true>(device, of, epilogue);
}

// The same for any operands.
template <Along kA, Along kB, class T, class Epilogue>
void MultiplyByTiles(Device& device, const Operands<T>& of, const Epilogue& epilogue) {
  using Tiles = TilesFor<T, kA, kB>;
  if (of.a.Aligned() && of.b.Aligned()) return MultiplyAligned<Tiles>(device, of, epilogue);
  LaunchProduct<typename Tiles::Middle, Tiles::kMiddleStages, false>(device, of, epilogue);
}

}  // namespace alignlab::cuda
