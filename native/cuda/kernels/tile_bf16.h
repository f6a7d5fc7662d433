// One tile of A B^T on the tensor cores: operands bf16, sums f32. Each output is one accumulator
// that m16n8k16 products are added to, terms ascending: its bits depend neither on the tile nor on
// its place in it.
#pragma once

#include "cuda/kernels/tile_copy.h"
#include "cuda/kernels/tile_emit.h"

namespace alignlab::cuda {

// A tile of kRows x kCols outputs, kDepth terms at a time, by kWarpsDown x kWarpsAcross warps.
template <int kRows_, int kCols_, int kDepth_, int kWarpsDown, int kWarpsAcross, Along kAlongA,
          Along kAlongB, class PieceB_ = OperandPiece<uint16_t, kAlongB, kCols_, kDepth_>>
struct TensorTile {
  using Element = uint16_t;
  static constexpr int kRows = kRows_, kCols = kCols_, kDepth = kDepth_;
  static constexpr int kThreads = kWarp * kWarpsDown * kWarpsAcross;
  static constexpr int kWarpRows = kRows / kWarpsDown, kWarpCols = kCols / kWarpsAcross;
  static_assert(kWarpRows % 16 == 0 && kWarpCols % 16 == 0 && kDepth % 16 == 0);
  using PieceA = OperandPiece<uint16_t, kAlongA, kRows, kDepth>;
  using PieceB = PieceB_;

  float sum[kWarpRows / 16][kWarpCols / 8][4];

  __device__ static int FirstRow() { return int(threadIdx.x) / kWarp / kWarpsAcross * kWarpRows; }
  __device__ static int FirstCol() { return int(threadIdx.x) / kWarp % kWarpsAcross * kWarpCols; }

  __device__ __forceinline__ void Clear() {
    ALIGNLAB_UNROLL
    for (auto& row : sum) {
      ALIGNLAB_UNROLL
      for (auto& block : row) {
        ALIGNLAB_UNROLL
        for (float& x : block) x = 0;
      }
    }
  }

  // Fragments of 16 outputs by 16 terms. In order of registers (simt_nvcc.h) the four 8 x 8 tiles
  // are, of A: outputs 0, 8, 0, 8 and terms 0, 0, 8, 8; of B: terms first.
  __device__ __forceinline__ static void LoadA(uint32_t (&to)[4], const char* piece, int output,
                                               int term) {
    Load<PieceA, kAlongA>(to, piece, output, term, Lane() / 8 % 2, Lane() / 16);
  }
  __device__ __forceinline__ static void LoadB(uint32_t (&to)[4], const char* piece, int output,
                                               int term) {
    Load<PieceB, kAlongB>(to, piece, output, term, Lane() / 16, Lane() / 8 % 2);
  }

  // sum += A B^T over the pieces.
  __device__ __forceinline__ void Multiply(const char* a, const char* b) {
    ALIGNLAB_UNROLL
    for (int term = 0; term < kDepth; term += 16) {
      uint32_t of_b[kWarpCols / 16][4];
      ALIGNLAB_UNROLL
      for (int j = 0; j < kWarpCols / 16; ++j) LoadB(of_b[j], b, FirstCol() + 16 * j, term);
      ALIGNLAB_UNROLL
      for (int i = 0; i < kWarpRows / 16; ++i) {
        uint32_t of_a[4];
        LoadA(of_a, a, FirstRow() + 16 * i, term);
        ALIGNLAB_UNROLL
        for (int j = 0; j < kWarpCols / 16; ++j) {
          MmaBf16(sum[i][2 * j], of_a, of_b[j][0], of_b[j][1]);
          MmaBf16(sum[i][2 * j + 1], of_a, of_b[j][2], of_b[j][3]);
        }
      }
    }
  }

  // Hands the sums to an epilogue of tile_emit.h, rows and columns inside of the matrix.
  template <class Epilogue>
  __device__ __forceinline__ void Emit(int64_t row, int64_t col, int64_t rows, int64_t cols,
                                       const Epilogue& epilogue) const {
    EmitRows<kWarpCols>(row, col + FirstCol(), rows, cols, epilogue, [&](int i, int j) -> float2 {
      const float* pair = &sum[i / 2][j][i % 2 * 2];
      return {pair[0], pair[1]};
    });
  }

 protected:
  // pair(i, j): what is given of the lane's row i and columns 8 j, of kUntil from `col` on.
  template <int kUntil, class Epilogue, class Pair>
  __device__ __forceinline__ void EmitRows(int64_t row, int64_t col, int64_t rows, int64_t cols,
                                           const Epilogue& epilogue, const Pair& pair) const {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kWarpRows / 8; ++i) {
      const int64_t r = row + FirstRow() + 8 * i + Lane() / 4;
      if (r >= rows) continue;
      EmitRow<kUntil / 8>(epilogue.Row(r), epilogue.pairs, col, cols,
                          [&](int j) { return pair(i, j); });
    }
  }

 private:
  __device__ static int Lane() { return int(threadIdx.x) % kWarp; }

  // This lane's row of its 8 x 8 tile, which is the tile's number in outputs and in terms.
  template <class P, Along kAlong>
  __device__ __forceinline__ static void Load(uint32_t (&to)[4], const char* piece, int output,
                                              int term, int tile_output, int tile_term) {
    output += 8 * tile_output;
    term += 8 * tile_term;
    if constexpr (kAlong == Along::kDepth)
      LoadMatrix4(to, piece + P::At(output + Lane() % 8, term / 8));
    else
      LoadMatrix4Transposed(to, piece + P::At(term + Lane() % 8, output / 8));
  }
};

// x times rows of two halves: a tile of kCols columns has both outputs of each in one thread.
template <int kRows_, int kCols_, int kDepth_, int kWarpsDown, int kWarpsAcross>
struct PairedTensorTile
    : TensorTile<kRows_, 2 * kCols_, kDepth_, kWarpsDown, kWarpsAcross, Along::kDepth,
                 Along::kDepth,
                 PairedOperandPiece<2 * kCols_, kDepth_, 2 * kCols_ / kWarpsAcross>> {
  static constexpr int kCols = kCols_;

  // A pair is {x, y, z, w}: x, y of columns c and c + 1 in the first half, z, w in the second.
  template <class Epilogue>
  __device__ __forceinline__ void Emit(int64_t row, int64_t col, int64_t rows, int64_t cols,
                                       const Epilogue& epilogue) const {
    constexpr int kOfWarp = kCols / kWarpsAcross;
    const auto& sum = this->sum;
    this->template EmitRows<kOfWarp>(
        row, col + this->FirstCol() / 2, rows, cols, epilogue, [&](int i, int j) -> float4 {
          const float* first = &sum[i / 2][j][i % 2 * 2];
          const float* second = &sum[i / 2][j + kOfWarp / 8][i % 2 * 2];
          return {first[0], first[1], second[0], second[1]};
        });
  }
};

}  // namespace alignlab::cuda
