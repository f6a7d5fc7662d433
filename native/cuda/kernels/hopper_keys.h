// The keys and values of the attention kernel for Hopper: the work of a block, the ring that they
// come through, and the thread that copies them.
#pragma once

#include "cuda/hopper.h"
#include "cuda/kernels/attention_view.h"

namespace alignlab::cuda {

constexpr int kGroupRows = 64;  // of a warpgroup
// 64 elements of each row of a block of 64 rows: a box.
constexpr int kColumnBytes = kKeyBlock * kBoxLine;

// One warpgroup copies, as many multiply as have the registers for it. All of a block's threads are
// started with 128 registers or with 168: 32 + 3 * 160 = 4 * 128, 24 + 2 * 240 = 3 * 168.
template <int kGroups_>
struct HopperBlock {
  static constexpr int kGroups = kGroups_;
  static constexpr int kThreads = (1 + kGroups) * kWarpgroup;
  static constexpr int kCopying = kGroups == 3 ? 32 : 24, kMultiplying = kGroups == 3 ? 160 : 240;
};
template <int kWidth>
using HopperAttendShape = HopperBlock<kWidth == 64 ? 3 : 2>;

// Each tile's rows, for each key/value head, are cut into `of_tile` parts of `rows` rows. A tile
// that is shorter than the longest has parts with fewer rows, or with none.
struct TileParts {
  int all, of_tile, rows;
};
struct TilePart {
  AttentionTile tile;
  int kv_head, begin, end;  // rows of the tile
  int group;

  // The last block of keys that a row sees.
  __device__ __forceinline__ int32_t LastBlock(int row) const {
    return (tile.position + row / group) / kKeyBlock;
  }
};

// body(part) for those that a thread block has. Parts come with the most keys first; each time
// around the order of the blocks is the other one, so that all have about as much to do.
template <class Body>
__device__ __forceinline__ void ForEachPart(const AttentionView<uint16_t>& v,
                                            const TileParts& parts, const Body& body) {
  const int blocks = int(gridDim.x), kv_heads = v.heads / v.group;
  ALIGNLAB_KEEP_LOOP
  for (int round = 0, first = 0; first < parts.all; ++round, first += blocks) {
    const int i = first + (round % 2 == 0 ? int(blockIdx.x) : blocks - 1 - int(blockIdx.x));
    if (i >= parts.all) return;
    const AttentionTile tile = v.tiles[i / parts.of_tile / kv_heads];
    const int begin = i % parts.of_tile * parts.rows, rows = tile.count * v.group;
    const int end = begin + parts.rows < rows ? begin + parts.rows : rows;
    if (begin < end) body(TilePart{tile, i / parts.of_tile % kv_heads, begin, end, v.group});
  }
}

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
  static constexpr int kBytes = kColumns * kColumnBytes;
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
  // `count` stages that a warpgroup has no use for.
  __device__ __forceinline__ void Skip(RingPlace& at, int32_t count) const {
    for (int32_t i = 0; i < count; ++i, at.Next(kStages)) {
      WaitBarrier(keys_full + at.stage, at.parity);
      WaitBarrier(values_full + at.stage, at.parity);
      SyncWarp();  // a lane that has not seen this phase would miss it once the stage is filled
                   // anew
      Release(at.stage);
    }
  }
  // By each warp, after it has waited for the products that read the stage.
  __device__ __forceinline__ void Release(int stage) const {
    if (threadIdx.x % kWarp == 0) Arrive(empty + stage);
  }
};

// Rows before the first of a matrix lie outside of it: zeros.
constexpr int kNowhere = -2 * kKeyBlock;

// What one thread copies, to a KeyRing or to what has blocks and barriers by its names.
template <class Ring>
struct KeyCopies {
  const Ring& ring;
  const KeyBoxes& boxes;
  const AttentionView<uint16_t>& v;

  // Rows [row, row + count) of a stage; in memory their keys begin at row `from`.
  __device__ __forceinline__ void CopyRows(int stage, int row, int count, int from) const {
    ALIGNLAB_KEEP_LOOP
    for (int i = KeyBoxes::kCount - 1; i >= 0; --i) {
      if (!(count >> i & 1)) continue;
      ALIGNLAB_UNROLL
      for (int c = 0; c < Ring::kColumns; ++c) {
        const int place = c * kColumnBytes + row * kBoxLine;
        CopyBox(ring.Keys(stage) + place, boxes.of[i], from, c * kBoxCols, ring.keys_full + stage);
        CopyBox(ring.Values(stage) + place, boxes.of[i], from + kKeyBlock, c * kBoxCols,
                ring.values_full + stage);
      }
      row += 1 << i;
      from += from < 0 ? 0 : 1 << i;
    }
  }

  // Positions of the tile's path from kKeyBlock * block on, up to the tile's last, as many at a
  // time as lie in one page; then zeros, because 0 times what lies there need not be 0.
  __device__ __forceinline__ void CopyBlock(int stage, const AttentionTile& tile, int kv_head,
                                            int32_t block) const {
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

  // Each block as soon as its stage is empty. The first time around stages are: no phase of theirs
  // is over, so parity 1 does not wait.
  __device__ __forceinline__ void CopyPart(RingPlace& at, const TilePart& part) const {
    const int32_t last = part.LastBlock(part.end - 1);
    ALIGNLAB_KEEP_LOOP
    for (int32_t block = 0; block <= last; ++block, at.Next(Ring::kStages)) {
      WaitBarrier(ring.empty + at.stage, at.parity ^ 1);
      ArriveExpecting(ring.keys_full + at.stage, Ring::kBytes);
      ArriveExpecting(ring.values_full + at.stage, Ring::kBytes);
      CopyBlock(at.stage, part.tile, part.kv_head, block);
    }
  }
};

// All parts that a block takes: one thread copies the blocks of keys, and each warpgroup that
// multiplies calls share(part, ring, at, first, last, masked) where the part has rows for it, from
// the tile's row `first` on. They see blocks [0, last], those from `masked` on not all of them.
template <int kWidth, class Block, class Share>
__device__ __forceinline__ void RunParts(const KeyBoxes& boxes, const AttentionView<uint16_t>& v,
                                         const TileParts& parts, const Share& share) {
  const auto ring = KeyRing<kWidth>::OfBlock();
  if (threadIdx.x == 0) ring.Init(Block::kGroups);
  __syncthreads();
  RingPlace at;
  if (threadIdx.x < kWarpgroup) {
    KeepRegisters<Block::kCopying>();
    if (threadIdx.x > 0) return;
    const KeyCopies<KeyRing<kWidth>> copies{ring, boxes, v};
    ForEachPart(v, parts, [&](const TilePart& part) { copies.CopyPart(at, part); });
  } else {
    TakeRegisters<Block::kMultiplying>();
    const int place = (int(threadIdx.x) / kWarpgroup - 1) * kGroupRows;
    ForEachPart(v, parts, [&](const TilePart& part) {
      const int first = part.begin + place;
      int32_t last = -1;
      if (first < part.end) {
        const int after = first + kGroupRows < part.end ? first + kGroupRows : part.end;
        last = part.LastBlock(after - 1);
        share(part, ring, at, first, last, part.LastBlock(first));
      }
      ring.Skip(at, part.LastBlock(part.end - 1) - last);
    });
  }
}

}  // namespace alignlab::cuda
