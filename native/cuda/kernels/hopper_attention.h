// What a block of the attention kernel for Hopper is made of: the ring that blocks of keys and
// values come through, the thread that copies them, and the rows of a warpgroup.
#pragma once

#include "cuda/hopper.h"
#include "cuda/kernels/attention_view.h"

namespace alignlab::cuda {

constexpr int kGroupRows = 64;  // of a warpgroup

// As many warpgroups multiply as have the registers for it: 32 + 3 * 160 or 40 + 2 * 232 of the 512
// that a multiprocessor has for a thread of each warpgroup.
template <int kWidth>
struct HopperAttendShape {
  static constexpr int kGroups = kWidth == 64 ? 3 : 2;
  static constexpr int kThreads = (1 + kGroups) * kWarpgroup;
  static constexpr int kCopying = kWidth == 64 ? 32 : 40, kMultiplying = kWidth == 64 ? 160 : 232;
};

// Rows of a tile are cut into `count` parts of `rows` rows, of a block each.
struct TileParts {
  int count, rows;
};

// The pages of a layer as a matrix of one token and head a row, keys or values, to be read in boxes
// of 1, 2, 4 .. 64 rows.
struct KeyBoxes {
  static constexpr int kCount = 7;
  TensorMap of[kCount];
  int rows_of_page;
};
static_assert(1 << (KeyBoxes::kCount - 1) == kKeyBlock && kKeyBlock == kPage);

// A stage holds a block of keys, then its values: each of them for every 64 elements of a head a
// box of 64 tokens. `keys_full`, `values_full`: their bytes have come. `empty`: the warps that
// multiply have read both.
template <int kWidth>
struct KeyRing {
  static constexpr int kStages = 4, kColumns = kWidth / kBoxCols;
  static constexpr int kColumnBytes = kKeyBlock * kBoxLine, kBytes = kColumns * kColumnBytes;
  static constexpr int kSharedBytes =
      kBoxPattern + kStages * (2 * kBytes + 3 * int(sizeof(uint64_t)));

  char* stages;
  uint64_t *keys_full, *values_full, *empty;

  __device__ __forceinline__ static KeyRing OfBlock() {
    char* start = PatternedShared();
    auto* barriers = reinterpret_cast<uint64_t*>(start + kStages * 2 * kBytes);
    return {start, barriers, barriers + kStages, barriers + 2 * kStages};
  }
  __device__ void Init(int groups) const {
    for (int i = 0; i < kStages; ++i) {
      InitBarrier(keys_full + i, 1);
      InitBarrier(values_full + i, 1);
      InitBarrier(empty + i, groups * kWarpgroup / kWarp);
    }
    PublishBarriers();
  }
  __device__ __forceinline__ char* Keys(int stage) const { return stages + stage * 2 * kBytes; }
  __device__ __forceinline__ char* Values(int stage) const { return Keys(stage) + kBytes; }
  // By each warp, after it has waited for the products that read the stage.
  __device__ __forceinline__ void Release(int stage) const {
    if (threadIdx.x % kWarp == 0) Arrive(empty + stage);
  }
};

// What one thread copies: blocks of positions of the path that a tile ends.
template <int kWidth>
struct KeyCopies {
  using Ring = KeyRing<kWidth>;
  // Rows before the first of a matrix lie outside of it: zeros.
  static constexpr int kNowhere = -2 * kKeyBlock;

  const Ring& ring;
  const KeyBoxes& boxes;
  const AttentionView<uint16_t>& v;
  const AttentionTile& tile;
  int kv_head;

  // Rows [row, row + count) of a stage; in memory their keys begin at row `from`.
  __device__ __forceinline__ void CopyRows(int stage, int row, int count, int from) const {
    ALIGNLAB_KEEP_LOOP
    for (int i = KeyBoxes::kCount - 1; i >= 0; --i) {
      if (!(count >> i & 1)) continue;
      ALIGNLAB_UNROLL
      for (int c = 0; c < Ring::kColumns; ++c) {
        const int place = c * Ring::kColumnBytes + row * kBoxLine;
        CopyBox(ring.Keys(stage) + place, boxes.of[i], from, c * kBoxCols, ring.keys_full + stage);
        CopyBox(ring.Values(stage) + place, boxes.of[i], from + kKeyBlock, c * kBoxCols,
                ring.values_full + stage);
      }
      row += 1 << i;
      from += from < 0 ? 0 : 1 << i;
    }
  }

  // Positions [kKeyBlock * block ..) up to the tile's last, as long as they lie in one page at a
  // time; then zeros, because 0 times what lies there need not be 0.
  __device__ __forceinline__ void CopyBlock(int stage, int32_t block) const {
    const int32_t first = block * kKeyBlock, end = tile.position + tile.count;
    const int32_t stop = first + kKeyBlock < end ? first + kKeyBlock : end;
    int32_t position = first;
    ALIGNLAB_KEEP_LOOP
    while (position < stop) {
      PathSegment s = v.segments[tile.segment];
      int32_t until = stop;
      while (s.position > position) {
        until = s.position < until ? s.position : until;
        s = v.segments[s.parent];
      }
      const int32_t token = position - s.position, in_page = token % int32_t(kPage);
      if (until - position > kPage - in_page) until = position + int32_t(kPage) - in_page;
      const int32_t page = v.pages[s.first_page + token / int32_t(kPage)];
      CopyRows(stage, position - first, until - position,
               page * boxes.rows_of_page + 2 * kv_head * int32_t(kPage) + in_page);
      position = until;
    }
    CopyRows(stage, stop - first, first + kKeyBlock - stop, kNowhere);
  }

  // Blocks up to `last`, each as soon as its stage is empty. The first time around stages are: no
  // phase of theirs is over, so parity 1 does not wait.
  __device__ __forceinline__ void CopyAll(int32_t last) const {
    RingPlace at;
    ALIGNLAB_KEEP_LOOP
    for (int32_t block = 0; block <= last; ++block, at.Next(Ring::kStages)) {
      WaitBarrier(ring.empty + at.stage, at.parity ^ 1);
      ArriveExpecting(ring.keys_full + at.stage, Ring::kBytes);
      ArriveExpecting(ring.values_full + at.stage, Ring::kBytes);
      CopyBlock(at.stage, block);
    }
  }
};

// A warpgroup's rows of a tile, queries in registers. Of the two rows of a thread: the largest
// score so far, and its share of the sum of 2^(scale (score - max)), scale as of powers of 2.
template <int kWidth>
struct AttendRows {
  using Ring = KeyRing<kWidth>;
  static constexpr int kTerms = 16;  // of one product

  uint32_t q[kWidth / kTerms][4], p[kKeyBlock / kTerms][4];
  float s[kKeyBlock / 2], o[kWidth / 2];  // as MultiplyWarpgroup describes them
  float max[2] = {-kInfinity, -kInfinity}, sum[2] = {0, 0}, before[2];
  int32_t sees[2];  // the last position

  // Row `first` of the tile is the warpgroup's first one; past the tile's last they are zero.
  __device__ __forceinline__ void LoadQueries(const AttentionView<uint16_t>& v,
                                              const AttentionTile& tile, int kv_head, int first) {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int row = first + RowOfThread(h), token = row / v.group;
      const int head = kv_head * v.group + row % v.group;
      const bool inside = token < tile.count;
      const uint16_t* from = v.q.data + 2 * (threadIdx.x % 4);
      if (inside) from += (tile.row + token) * v.q.row_stride + int64_t(head) * v.q.head_stride;
      ALIGNLAB_UNROLL
      for (int i = 0; i < kWidth / 8; ++i)
        q[i / 2][h + 2 * (i % 2)] = inside ? *reinterpret_cast<const uint32_t*>(from + 8 * i) : 0u;
      sees[h] = tile.position + token;
    }
  }
  __device__ __forceinline__ static int RowOfThread(int h) {
    return int(threadIdx.x) % kWarpgroup / kWarp * 16 + int(threadIdx.x) % kWarp / 4 + 8 * h;
  }

  // The descriptor of a later piece: the distance, in units of 16 bytes, is added to the address,
  // which stays inside its bits, so without a carry that would cost instructions.
  __device__ __forceinline__ static uint64_t Further(uint64_t matrix, int bytes) {
    return matrix >> 32 << 32 | (uint32_t(matrix) + uint32_t(bytes / 16));
  }
  __device__ __forceinline__ void StartScores(const char* keys) {
    const uint64_t first = SharedMatrix(keys, 16, 8 * kBoxLine);
    OpenProducts();
    ALIGNLAB_UNROLL
    for (int k = 0; k < kWidth; k += kTerms)
      MultiplyWarpgroup<false>(
          s, q[k / kTerms],
          Further(first, k / kBoxCols * Ring::kColumnBytes + k % kBoxCols * int(sizeof(uint16_t))),
          k > 0);
    CommitProducts();
  }
  // o = P V, or added to o.
  __device__ __forceinline__ void StartOutputs(const char* values, bool add) {
    const uint64_t first = SharedMatrix(values, Ring::kColumnBytes, 8 * kBoxLine);
    OpenProducts();
    ALIGNLAB_UNROLL
    for (int k = 0; k < kKeyBlock; k += kTerms)
      MultiplyWarpgroup<true>(o, p[k / kTerms], Further(first, k * kBoxLine), add || k > 0);
    CommitProducts();
  }

  // s from scores to probabilities under the new maximum, `before` the factor from the old one.
  __device__ __forceinline__ void Softmax(float scale, int32_t block, bool masked) {
    if (masked) Mask(block);
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
  __device__ __forceinline__ void Mask(int32_t block) {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int32_t seen = sees[h] - block * kKeyBlock - 2 * int(threadIdx.x % 4);
      ALIGNLAB_UNROLL
      for (int i = 2 * h; i < kKeyBlock / 2; i += 4) {
        if (2 * i - 4 * h > seen) s[i] = -kInfinity;
        if (2 * i - 4 * h + 1 > seen) s[i + 1] = -kInfinity;
      }
    }
  }
  // P as the operand of the next product, when the last one has been waited for.
  __device__ __forceinline__ void PackProbabilities() {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kKeyBlock / 4; ++i) p[i / 4][i % 4] = PackBf16(s[2 * i], s[2 * i + 1]);
  }
  __device__ __forceinline__ void Rescale() {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kWidth / 2; ++i) o[i] *= before[i / 2 % 2];
  }

  // Blocks [0, last], those from `masked` on with keys that not all rows see. A block's scores are
  // multiplied while the one before it multiplies values, and turned into probabilities under that.
  __device__ __forceinline__ void Attend(const Ring& ring, float scale, int32_t last,
                                         int32_t masked) {
    RingPlace at, next;
    next.Next(Ring::kStages);
    WaitBarrier(ring.keys_full + at.stage, at.parity);
    StartScores(ring.Keys(at.stage));
    WaitProducts<0>();
    ReadProducts(s);
    Softmax(scale, 0, masked <= 0);
    PackProbabilities();
    if (last > 0) WaitBarrier(ring.keys_full + next.stage, next.parity);
    ALIGNLAB_KEEP_LOOP
    for (int32_t block = 1; block <= last; ++block) {
      StartScores(ring.Keys(next.stage));
      WaitBarrier(ring.values_full + at.stage, at.parity);
      StartOutputs(ring.Values(at.stage), block > 1);
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
      PackProbabilities();
    }
    WaitBarrier(ring.values_full + at.stage, at.parity);
    StartOutputs(ring.Values(at.stage), last > 0);
    WaitProducts<0>();
    ReadProducts(o);
  }

  __device__ __forceinline__ void Write(const AttentionView<uint16_t>& v, const AttentionTile& tile,
                                        int kv_head, int first, float scale) const {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      float all = sum[h];
      all += ShuffleXor(all, 1);
      all += ShuffleXor(all, 2);
      const int row = first + RowOfThread(h), token = row / v.group;
      if (token < tile.count)
        WriteRow<kWidth>(v, tile.row + token, kv_head * v.group + row % v.group, max[h] * scale,
                         all, [&](int n, int e) { return o[4 * n + 2 * h + e]; });
    }
  }
};

}  // namespace alignlab::cuda
