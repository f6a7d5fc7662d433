// What the kernel of the keys' gradients for Hopper has in shared memory, and the threads that fill
// it.
#pragma once

#include "cuda/kernels/hopper_rows.h"

namespace alignlab::cuda {

// The heads of a group, of 1, 2, 4 .. tokens that together have up to 64 of them.
struct GroupBoxes {
  static constexpr int kCount = 7;
  TensorMap of[kCount];
};
struct KeyGradientBoxes {
  KeyBoxes keys;
  GroupBoxes queries, d_out;
};

// What a column of the scores has to be told about its row of queries. Rows that do not exist are
// zero, here and in q and d_out, and so is what they add. Aligned, so that columns can be read in
// pairs.
struct alignas(16) QueryColumns {
  float lse[kGroupRows], dots[kGroupRows];  // log-sum-exp, times log2 e; D
  int32_t positions[kGroupRows];
  int32_t more;  // pieces after this one
};

// The blocks of keys and values of the warpgroups, which stay, and a ring of pieces of queries:
// piece i is in stage i % kStages, for the (i / kStages)-th time. keys_full, values_full: as
// KeyRing's. `full`: a piece's rows and their columns have come; `empty`: the warps that multiply
// have read them.
template <int kWidth>
struct KeyGradientBlock {
  using Threads = HopperBlock<2>;
  static constexpr int kGroups = Threads::kGroups, kStages = 4, kColumns = kWidth / kBoxCols;
  static constexpr int kBytes = kColumns * kColumnBytes;
  static constexpr int kMatrices = 2 * (kGroups + kStages);
  static constexpr int kSharedBytes = kBoxPattern + kMatrices * kBytes +
                                      2 * (kGroups + kStages) * int(sizeof(uint64_t)) +
                                      kStages * int(sizeof(QueryColumns));

  char* start;
  uint64_t *keys_full, *values_full, *full, *empty;
  QueryColumns* columns;

  __device__ __forceinline__ static KeyGradientBlock OfBlock() {
    char* start = PatternedShared();
    auto* barriers = reinterpret_cast<uint64_t*>(start + kMatrices * kBytes);
    uint64_t* full = barriers + 2 * kGroups;
    return {start, barriers,       barriers + kGroups,
            full,  full + kStages, reinterpret_cast<QueryColumns*>(full + 2 * kStages)};
  }
  __device__ void Init() const {
    for (int i = 0; i < 2 * kGroups; ++i) InitBarrier(keys_full + i, 1);
    for (int i = 0; i < kStages; ++i) {
      InitBarrier(full + i, 2);  // the thread that copies, the warp that writes columns
      InitBarrier(empty + i, kGroups * kWarpgroup / kWarp);
    }
    PublishBarriers();
  }
  __device__ __forceinline__ char* Keys(int group) const { return start + 2 * group * kBytes; }
  __device__ __forceinline__ char* Values(int group) const { return Keys(group) + kBytes; }
  __device__ __forceinline__ static unsigned Stage(unsigned piece) { return piece % kStages; }
  __device__ __forceinline__ char* Queries(unsigned piece) const {
    return Keys(kGroups + int(Stage(piece)));
  }
  __device__ __forceinline__ char* OutGradients(unsigned piece) const {
    return Queries(piece) + kBytes;
  }
  __device__ __forceinline__ QueryColumns& Columns(unsigned piece) const {
    return columns[Stage(piece)];
  }
  __device__ __forceinline__ uint64_t* Full(unsigned piece) const { return full + Stage(piece); }

  __device__ __forceinline__ void WaitFull(unsigned piece) const {
    WaitBarrier(Full(piece), piece / kStages % 2);
  }
  // The first time around stages are empty: no phase of theirs is over, so parity 1 does not wait.
  __device__ __forceinline__ void WaitEmpty(unsigned piece) const {
    WaitBarrier(empty + Stage(piece), piece / kStages % 2 ^ 1);
  }
  // By each warp, after it has waited for the products that read the piece.
  __device__ __forceinline__ void Release(unsigned piece) const {
    if (threadIdx.x % kWarp == 0) Arrive(empty + Stage(piece));
  }
  // A piece that a warpgroup has no use for; whether there are more.
  __device__ __forceinline__ bool Skip(unsigned piece) const {
    WaitFull(piece);
    const bool more = Columns(piece).more;
    SyncWarp();  // every lane has seen this phase and read its columns
    Release(piece);
    return more;
  }
};

// As many tokens of a tile, up to its last, as have up to 64 rows together: `row` and `position`
// are those of the first.
struct QueryPiece {
  unsigned number;
  int row, position, count;
  bool more;
};

// body(piece) for all queries that see the keys of tile `index`, in order: tiles of TilesByTree,
// tokens ascending.
template <class Body>
__device__ __forceinline__ void ForEachPiece(const AttentionTile* tiles, int index, int tokens,
                                             const Body& body) {
  const AttentionTile* tile = tiles + index;
  unsigned number = 0;
  ALIGNLAB_KEEP_LOOP
  for (int left = tile->end - index; left > 0; --left, ++tile) {
    ALIGNLAB_KEEP_LOOP
    for (int first = 0; first < tile->count; first += tokens) {
      const int rest = tile->count - first;
      body(QueryPiece{number++, int(tile->row) + first, tile->position + first,
                      rest < tokens ? rest : tokens, rest > tokens || left > 1});
    }
  }
}

// The blocks of the tile's keys that there are, by one thread.
template <int kWidth>
__device__ __forceinline__ void CopyKeysOfTile(const KeyGradientBlock<kWidth>& block,
                                               const KeyBoxes& boxes,
                                               const AttentionView<uint16_t>& v,
                                               const AttentionTile& tile, int kv_head) {
  const KeyCopies<KeyGradientBlock<kWidth>> copies{block, boxes, v};
  const int32_t last = (tile.position + tile.count - 1) / kKeyBlock;
  ALIGNLAB_KEEP_LOOP
  for (int32_t i = tile.position / kKeyBlock; i <= last; ++i) {
    const int group = i % KeyGradientBlock<kWidth>::kGroups;
    ArriveExpecting(block.keys_full + group, block.kBytes);
    ArriveExpecting(block.values_full + group, block.kBytes);
    copies.CopyBlock(group, tile, kv_head, i);
  }
}

// The rows of a piece, by one thread; zeros after the last, because 0 times what lies there need
// not be 0.
template <int kWidth>
__device__ __forceinline__ void CopyPiece(const KeyGradientBlock<kWidth>& block,
                                          const KeyGradientBoxes& boxes, const QueryPiece& piece,
                                          int kv_head, int group) {
  block.WaitEmpty(piece.number);
  uint64_t* full = block.Full(piece.number);
  char* const queries = block.Queries(piece.number);
  char* const d_out = block.OutGradients(piece.number);
  ArriveExpecting(full, 2 * block.kBytes);
  const auto copy = [&](int row, const auto& one) {
    ALIGNLAB_UNROLL
    for (int c = 0; c < block.kColumns; ++c) one(c * kBoxCols, c * kColumnBytes + row * kBoxLine);
  };
  int row = 0, token = piece.row;
  ALIGNLAB_KEEP_LOOP
  for (int i = GroupBoxes::kCount - 1; i >= 0; --i) {
    if (!(piece.count >> i & 1)) continue;
    copy(row, [&](int col, int place) {
      CopyHeads(queries + place, boxes.queries.of[i], token, kv_head * group, col, full);
      CopyHeads(d_out + place, boxes.d_out.of[i], token, kv_head * group, col, full);
    });
    row += group << i;
    token += 1 << i;
  }
  const int rest = kGroupRows - row;
  ALIGNLAB_KEEP_LOOP
  for (int i = KeyBoxes::kCount - 1; i >= 0; --i) {
    if (!(rest >> i & 1)) continue;
    copy(row, [&](int col, int place) {
      CopyBox(queries + place, boxes.keys.of[i], kNowhere, col, full);
      CopyBox(d_out + place, boxes.keys.of[i], kNowhere, col, full);
    });
    row += 1 << i;
  }
}

// What the columns of its scores are told, by one warp.
template <int kWidth>
__device__ __forceinline__ void WriteColumns(const KeyGradientBlock<kWidth>& block,
                                             const GradientView<uint16_t>& g,
                                             const QueryPiece& piece, int kv_head) {
  const AttentionView<uint16_t>& v = g.forward;
  block.WaitEmpty(piece.number);
  QueryColumns& to = block.Columns(piece.number);
  ALIGNLAB_KEEP_LOOP
  for (unsigned i = threadIdx.x % kWarp; i < unsigned(kGroupRows); i += kWarp) {
    const int token = int(i / unsigned(v.group)), head = int(i) - token * v.group;
    const bool inside = token < piece.count;
    const int64_t at = int64_t(piece.row + token) * v.heads + (kv_head * v.group + head);
    to.lse[i] = inside ? v.lse[at] * kLog2E : 0.0f;
    to.dots[i] = inside ? g.dots[at] : 0.0f;
    to.positions[i] = piece.position + token;
  }
  if (threadIdx.x % kWarp == 0) to.more = piece.more;
  SyncWarp();
  if (threadIdx.x % kWarp == 0) Arrive(block.Full(piece.number));
}

}  // namespace alignlab::cuda
