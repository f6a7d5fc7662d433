// The rows of a warpgroup in the attention kernel for Hopper.
#pragma once

#include "cuda/kernels/hopper_rows.h"

namespace alignlab::cuda {

// A warpgroup's rows of a tile, queries in registers. Of the two rows of a thread: the largest
// score so far, and its share of the sum of 2^(scale (score - max)), scale as of powers of 2.
template <int kWidth>
struct AttendRows {
  using Ring = KeyRing<kWidth>;

  uint32_t q[kWidth / kTerms][4], p[kKeyBlock / kTerms][4];
  float s[kKeyBlock / 2], o[kWidth / 2];  // as MultiplyWarpgroup describes them
  float max[2] = {-kInfinity, -kInfinity}, sum[2] = {0, 0}, before[2];
  int32_t sees[2];  // the last position

  // Row `first` of the tile is the warpgroup's first one.
  __device__ __forceinline__ void LoadQueries(const AttentionView<uint16_t>& v,
                                              const TilePart& part, int first) {
    LoadRows<kWidth>(v.q, part, first, q);
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h)
      sees[h] = part.tile.position + (first + RowOfThread(h)) / part.group;
  }

  // s from scores to probabilities under the new maximum, `before` the factor from the old one.
  __device__ __forceinline__ void Softmax(float scale, int32_t block, bool masked) {
    if (masked) MaskKeys(s, sees, block);
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      float most = max[h];
      ALIGNLAB_UNROLL
      for (int i = 2 * h; i < kKeyBlock / 2; i += 4) most = Max(most, Max(s[i], s[i + 1]));
      most = Max(most, ShuffleXor(most, 1));
      most = Max(most, ShuffleXor(most, 2));
      // Every row sees position 0, in the first block: no maximum stays -inf.
      before[h] = Exp2Quick((max[h] - most) * scale);
      max[h] = most;
      sum[h] *= before[h];
      const float shift = -most * scale;
      ALIGNLAB_UNROLL
      for (int i = 2 * h; i < kKeyBlock / 2; i += 4) {
        sum[h] += s[i] = Exp2Quick(Fma(s[i], scale, shift));
        sum[h] += s[i + 1] = Exp2Quick(Fma(s[i + 1], scale, shift));
      }
    }
  }
  __device__ __forceinline__ void Rescale() {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kWidth / 2; ++i) o[i] *= before[i / 2 % 2];
  }

  // Blocks [0, last], those from `masked` on with keys that not all rows see. A block's scores are
  // multiplied while the one before it multiplies values, and turned into probabilities under that.
  __device__ __forceinline__ void Attend(const Ring& ring, RingPlace& at, float scale, int32_t last,
                                         int32_t masked) {
    RingPlace next = at;
    next.Next(Ring::kStages);
    WaitBarrier(ring.keys_full + at.stage, at.parity);
    StartScores<kWidth>(s, q, ring.Keys(at.stage));
    WaitProducts<0>();
    ReadProducts(s);
    Softmax(scale, 0, masked <= 0);
    PackRows(s, p);
    if (last > 0) WaitBarrier(ring.keys_full + next.stage, next.parity);
    ALIGNLAB_KEEP_LOOP
    for (int32_t block = 1; block <= last; ++block) {
      StartScores<kWidth>(s, q, ring.Keys(next.stage));
      WaitBarrier(ring.values_full + at.stage, at.parity);
      StartMixed<kWidth>(o, p, ring.Values(at.stage), block > 1);
      WaitProducts<1>();
      ReadProducts(s);
      Softmax(scale, block, masked <= block);
      const int read = at.stage;
      at = next;
      next.Next(Ring::kStages);
      // Here, because ptxas moves a wait for products up to the last branch, over the softmax that
      // is to run under them.
      if (block < last) WaitBarrier(ring.keys_full + next.stage, next.parity);
      WaitProducts<0>();
      ReadProducts(o);
      ring.Release(read);
      Rescale();
      PackRows(s, p);
    }
    WaitBarrier(ring.values_full + at.stage, at.parity);
    StartMixed<kWidth>(o, p, ring.Values(at.stage), last > 0);
    WaitProducts<0>();
    ReadProducts(o);
    ring.Release(at.stage);
    at = next;
  }

  __device__ __forceinline__ void Write(const AttentionView<uint16_t>& v, const TilePart& part,
                                        int first, float scale) const {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      float all = sum[h];
      all += ShuffleXor(all, 1);
      all += ShuffleXor(all, 2);
      const int row = first + RowOfThread(h), token = row / v.group;
      if (token < part.tile.count)
        WriteRow<kWidth>(v, part.tile.row + token, part.kv_head * v.group + row % v.group,
                         max[h] * scale, all, [&](int n, int e) { return o[4 * n + 2 * h + e]; });
    }
  }
};

}  // namespace alignlab::cuda
