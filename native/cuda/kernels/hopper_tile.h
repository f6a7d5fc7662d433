// A tile of A B^T by Hopper's warpgroups: one warp copies pieces of both operands ahead through a
// ring of stages, two warpgroups multiply what has come. Each output is one accumulator that
// products of 16 terms are added to, ascending.
#pragma once

#include "cuda/hopper.h"
#include "cuda/kernels/tile_product.h"

namespace alignlab::cuda {

constexpr int kHopperDepth = kBoxCols;  // terms of a stage

// An operand's part of a stage: kWidth outputs by kHopperDepth terms. Rows along the depth are one
// box; rows along the outputs are boxes of 64 outputs by all terms, one after the other.
template <Along kAlong, int kWidth_>
struct HopperPiece {
  using Source = TensorMap;
  static constexpr int kWidth = kWidth_;
  static constexpr bool kAcross = kAlong == Along::kOutput;
  static constexpr int kBytes = kWidth * kBoxLine;
  static constexpr int kBoxRows = kAcross ? kHopperDepth : kWidth;
  static constexpr int kBoxBytes = kBoxRows * kBoxLine;
  static_assert(kWidth % kBoxCols == 0 && kBoxRows <= 256);

  __device__ __forceinline__ static void Copy(char* to, const Source& from, int output, int term,
                                              uint64_t* barrier) {
    if constexpr (kAcross) {
      for (int i = 0; i < kWidth / kBoxCols; ++i)
        CopyBox(to + i * kBoxBytes, from, term, output + i * kBoxCols, barrier);
    } else {
      CopyBox(to, from, output, term, barrier);
    }
  }

  // From (output, term) on: outputs by 64 where rows lie along them, terms by 16.
  __device__ __forceinline__ static uint64_t At(const char* piece, int output, int term) {
    constexpr int kEightLines = 8 * kBoxLine;
    if constexpr (kAcross)
      return SharedMatrix(piece + output / kBoxCols * kBoxBytes + term * kBoxLine, kBoxBytes,
                          kEightLines);
    else
      return SharedMatrix(piece + output * kBoxLine + term * 2, 16, kEightLines);
  }
};

// Two outputs for each: kWidth / 2 rows along the depth, and the rows `apart` after them.
struct PairedRows {
  TensorMap map;
  int apart;
};
template <int kWidth_>
struct PairedPiece : HopperPiece<Along::kDepth, kWidth_ / 2> {
  using Source = PairedRows;
  using Half = HopperPiece<Along::kDepth, kWidth_ / 2>;
  static constexpr int kWidth = kWidth_, kBytes = 2 * Half::kBytes;

  __device__ __forceinline__ static void Copy(char* to, const Source& from, int output, int term,
                                              uint64_t* barrier) {
    Half::Copy(to, from.map, output, term, barrier);
    Half::Copy(to + Half::kBytes, from.map, output + from.apart, term, barrier);
  }
};

template <class PieceA_, class PieceB_>
struct HopperTile {
  using PieceA = PieceA_;
  using PieceB = PieceB_;
  static constexpr int kRows = PieceA::kWidth, kCols = PieceB::kWidth, kStages = 4;
  static constexpr int kGroups = 2;  // that multiply, 64 rows each
  static_assert(kRows == kGroups * 64);
  static constexpr int kThreads = (1 + kGroups) * kWarpgroup;
  static constexpr int kStageBytes = PieceA::kBytes + PieceB::kBytes;
  static constexpr int kSharedBytes =
      kBoxPattern + kStages * kStageBytes + 2 * kStages * int(sizeof(uint64_t));

  // `full`: a stage's bytes have come. `empty`: the warps that multiply have read it.
  struct Ring {
    char* stages;
    uint64_t *full, *empty;

    __device__ __forceinline__ static Ring OfBlock() {
      char* start = PatternedShared();
      auto* barriers = reinterpret_cast<uint64_t*>(start + kStages * kStageBytes);
      return {start, barriers, barriers + kStages};
    }
    __device__ void Init() const {
      for (int i = 0; i < kStages; ++i) {
        InitBarrier(full + i, 1);
        InitBarrier(empty + i, kGroups * kWarpgroup / kWarp);
      }
      PublishBarriers();
    }
    __device__ __forceinline__ char* Stage(const RingPlace& at) const {
      return stages + at.stage * kStageBytes;
    }
    // By each warp, after it has waited for the products that read the stage.
    __device__ __forceinline__ void Release(int stage) const {
      if (threadIdx.x % kWarp == 0) Arrive(empty + stage);
    }
  };

  // One thread: steps [first, first + steps) of the tile whose first output is `tile`, each as soon
  // as its stage is empty. The first time around stages are: no phase of theirs is over, so parity
  // 1 does not wait.
  __device__ __forceinline__ static void Copy(const Ring& ring, RingPlace& at,
                                              const typename PieceA::Source& a,
                                              const typename PieceB::Source& b,
                                              const TilePlace& tile, int first, int steps) {
    ALIGNLAB_KEEP_LOOP
    for (int step = first; step < first + steps; ++step, at.Next(kStages)) {
      WaitBarrier(ring.empty + at.stage, at.parity ^ 1);
      uint64_t* full = ring.full + at.stage;
      ArriveExpecting(full, kStageBytes);
      PieceA::Copy(ring.Stage(at), a, int(tile.row), step * kHopperDepth, full);
      PieceB::Copy(ring.Stage(at) + PieceA::kBytes, b, int(tile.col), step * kHopperDepth, full);
    }
  }

  float sum[kCols / 2];  // as MultiplyWarpgroup describes it

  __device__ static int FirstRow() { return (int(threadIdx.x) / kWarpgroup - 1) * 64; }

  // A warpgroup: its 64 rows of the tile. One step's products are under way while the next step's
  // are started; a stage is released when the products after those that read it are.
  __device__ __forceinline__ void Sum(const Ring& ring, RingPlace& at, int steps) {
    int before = -1;
    ALIGNLAB_KEEP_LOOP
    for (int step = 0; step < steps; ++step, at.Next(kStages)) {
      WaitBarrier(ring.full + at.stage, at.parity);
      const char* piece = ring.Stage(at);
      OpenProducts();
      ALIGNLAB_UNROLL
      for (int term = 0; term < kHopperDepth; term += 16)
        MultiplyWarpgroup<PieceA::kAcross, PieceB::kAcross>(
            sum, PieceA::At(piece, FirstRow(), term), PieceB::At(piece + PieceA::kBytes, 0, term),
            step + term > 0);
      CommitProducts();
      WaitProducts<1>();
      if (before >= 0) ring.Release(before);
      before = at.stage;
    }
    WaitProducts<0>();
    ReadProducts(sum);
    ring.Release(before);
  }

  // As TensorTile's.
  template <class Epilogue>
  __device__ __forceinline__ void Emit(const TilePlace& tile, int64_t rows, int64_t cols,
                                       const Epilogue& epilogue) const {
    EmitRows<kCols>(tile, rows, cols, epilogue, [&](int at) -> float2 {
      return {sum[at], sum[at + 1]};
    });
  }

 protected:
  // A thread has two rows, i < 2, and of these the columns FirstCol() + 8 j and the next: sums
  // 4 j + 2 i and the next.
  __device__ __forceinline__ static int64_t RowOf(const TilePlace& tile, int i) {
    const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) % kWarpgroup / kWarp;
    return tile.row + FirstRow() + 16 * warp + 8 * i + lane / 4;
  }
  __device__ __forceinline__ static int FirstCol() { return 2 * int(threadIdx.x % 4); }

  // pair(at): what is given of the columns whose sums are at and at + 1, columns before kUntil.
  template <int kUntil, class Epilogue, class Pair>
  __device__ __forceinline__ void EmitRows(const TilePlace& tile, int64_t rows, int64_t cols,
                                           const Epilogue& epilogue, const Pair& pair) const {
    ALIGNLAB_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int64_t r = RowOf(tile, i);
      if (r >= rows) continue;
      EmitRow<kUntil / 8>(epilogue.Row(r), epilogue.pairs, tile.col, cols,
                          [&](int j) { return pair(4 * j + 2 * i); });
    }
  }
};

// x times rows of two halves: a tile of kCols columns has both outputs of each in one thread.
template <int kCols_>
struct PairedTile : HopperTile<HopperPiece<Along::kDepth, 128>, PairedPiece<2 * kCols_>> {
  static constexpr int kCols = kCols_;

  // A pair is {x, y, z, w}: x, y of columns c and c + 1 in the first half, z, w in the second.
  template <class Epilogue>
  __device__ __forceinline__ void Emit(const TilePlace& tile, int64_t rows, int64_t cols,
                                       const Epilogue& epilogue) const {
    const auto& sum = this->sum;
    this->template EmitRows<kCols>(tile, rows, cols, epilogue, [&](int at) -> float4 {
      constexpr int kSecond = kCols / 2;
      return {sum[at], sum[at + 1], sum[at + kSecond], sum[at + kSecond + 1]};
    });
  }
};

}  // namespace alignlab::cuda
