// The head's tiles by Hopper's instructions: the four lanes that have a row's columns of a tile sum
// them up in registers.
#include "cuda/kernels/head.h"
#include "cuda/kernels/hopper_product_kernel.h"

namespace alignlab::cuda {

namespace {

struct Outputs {
  HeadOutputs head;
  StoreOutputs logits;
};

struct HeadTile : HopperTilesFor<Along::kDepth, Along::kDepth>::Wide {
  [[maybe_unused]] __device__ __forceinline__ void Emit(const TilePlace& tile, int64_t rows,
                                                        int64_t cols, const Outputs& to) {
    if (to.head.logits) HopperTile::Emit(tile, rows, cols, to.logits);
    const int64_t rest = cols - tile.col, tiles = CeilDiv(cols, kCols);
    if (rest < kCols) LeaveOut(int(rest));
    ALIGNLAB_UNROLL
    for (int i = 0; i < 2; ++i) {
      const VocabularySums sums = SumsOf(i);  // by all lanes, also of rows that do not exist
      const int64_t row = RowOf(tile, i);
      if (row >= rows) continue;
      if (FirstCol() == 0) to.head.sums[row * tiles + tile.col / kCols] = sums;
      if (to.head.targets)
        StoreTarget(i, int(to.head.targets[row] - tile.col), to.head.logprob + row);
    }
  }

 private:
  static constexpr int kPairs = kCols / 8;  // of a lane and row

  // From column `rest` of the tile on: values whose exponentials are zero, and zero times these.
  __device__ __forceinline__ void LeaveOut(int rest) {
    constexpr float kOutside = -1e38f;
    ALIGNLAB_UNROLL
    for (int at = 0; at < kCols / 2; ++at)
      if (FirstCol() + at / 4 * 8 + at % 2 >= rest) sum[at] = kOutside;
  }

  __device__ __forceinline__ VocabularySums SumsOf(int i) const {
    float m = -kInfinity, s = 0, t = 0;
    ALIGNLAB_UNROLL
    for (int j = 0; j < kPairs; ++j) m = Max(m, Max(sum[4 * j + 2 * i], sum[4 * j + 2 * i + 1]));
    m = Max(m, ShuffleXor(m, 1));
    m = Max(m, ShuffleXor(m, 2));
    ALIGNLAB_UNROLL
    for (int j = 0; j < kPairs; ++j) {
      ALIGNLAB_UNROLL
      for (int e = 0; e < 2; ++e) {
        const float d = sum[4 * j + 2 * i + e] - m, x = Exp(d);
        s += x;
        t = Fma(d, x, t);
      }
    }
    for (int mask = 1; mask < 4; mask *= 2) {
      s += ShuffleXor(s, mask);
      t += ShuffleXor(t, mask);
    }
    return {m, s, t, 0};
  }

  // The logit of column `target` of the tile, by the lane that has it, if any.
  __device__ __forceinline__ void StoreTarget(int i, int target, float* to) const {
    if (target < 0 || target >= kCols || target % 8 / 2 * 2 != FirstCol()) return;
    ALIGNLAB_UNROLL
    for (int j = 0; j < kPairs; ++j) {
      const float x = sum[4 * j + 2 * i], y = sum[4 * j + 2 * i + 1];
      if (target / 8 == j) *to = target % 2 == 0 ? x : y;
    }
  }
};

// One width: it decides how many sums there are.
struct HeadTiles {
  using Narrow = HeadTile;
  using Wide = HeadTile;
};

}  // namespace

int64_t HeadByHopper(Device& device, const Operands<uint16_t>& of, const HeadOutputs& to) {
  const Tensor logits{to.logits, DType::kF32, of.m, of.n, to.logits_stride};
  const Outputs outputs{to, {logits, nullptr, false}};
  const bool done = MultiplyByHopperTiles<HeadTiles>(device, of, outputs);
  return done ? CeilDiv(of.n, HeadTile::kCols) : 0;
}

}  // namespace alignlab::cuda
