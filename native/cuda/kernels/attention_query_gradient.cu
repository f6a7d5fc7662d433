// Gradients of queries in bf16: one block a tile of queries, over the blocks of keys that it sees.
//   P = 2^(scale log2e q.k - lse log2e)    dS = P (dO V^T - D)    dQ = scale dS K
#include "cuda/kernels/attention_host.h"
#include "cuda/kernels/attention_mma.h"

namespace alignlab::cuda {

namespace {

// At width 256 two warps: what four would need does not fit the 99 KB that a block may have on the
// smaller GPUs. Narrow blocks copy the next keys while they compute.
template <int kWidth>
struct QueryShape {
  static constexpr int kThreads = kWidth <= 128 ? 128 : 64;
  static constexpr int kRows = kThreads / kWarp * 16, kRow = kRowElements<uint16_t, kWidth>;
  static constexpr int kStages = kWidth <= 64 ? 2 : 1;
  static constexpr size_t kPlaces = 2 * kKeyBlock * sizeof(int64_t);
  static constexpr size_t kBytes =
      kPlaces + size_t(2 * kRows + 2 * kStages * kKeyBlock) * kRow * sizeof(uint16_t);
};

// What a thread knows of its two rows: the last column that they see in the last block, log-sum-exp
// (times log2 e) and D.
struct QueryRows {
  int limit[2];
  float lse[2], dot[2];
};

__device__ inline QueryRows ReadRows(const GradientView<uint16_t>& g, const AttentionTile& tile,
                                     int kv_head, int first) {
  const AttentionView<uint16_t>& v = g.forward;
  QueryRows rows{};
  ALIGNLAB_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int r = first + int(threadIdx.x % kWarp) / 4 + 8 * h, token = r / v.group;
    rows.limit[h] = tile.position % kKeyBlock + token;
    if (token >= tile.count) continue;
    const int64_t at = (tile.row + token) * v.heads + kv_head * v.group + r % v.group;
    rows.lse[h] = v.lse[at] * kLog2E;
    rows.dot[h] = g.dots[at];
  }
  return rows;
}

// s: scores, becomes dS.
__device__ __forceinline__ void ToScoreGradients(float scale, bool last, const QueryRows& rows,
                                                 const float (&d_p)[1][8][4], float (&s)[1][8][4]) {
  const int first = 2 * int(threadIdx.x % 4);
  ALIGNLAB_UNROLL
  for (int n = 0; n < 8; ++n) {
    ALIGNLAB_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int h = e / 2;
      const float p = Exp2(s[0][n][e] * scale - rows.lse[h]);
      s[0][n][e] = p * (d_p[0][n][e] - rows.dot[h]);
      if (last && 8 * n + first + e % 2 > rows.limit[h]) s[0][n][e] = 0;
    }
  }
}

template <int kWidth>
__global__ void __launch_bounds__(QueryShape<kWidth>::kThreads)
    QueryKernel(GradientView<uint16_t> g) {
  using Shape = QueryShape<kWidth>;
  constexpr int kThreads = Shape::kThreads;
  const AttentionView<uint16_t>& v = g.forward;
  const AttentionTile tile = v.tiles[blockIdx.x];
  const int kv_head = int(blockIdx.y), first = int(blockIdx.z) * Shape::kRows;
  const int rows = tile.count * v.group;
  if (first >= rows) return;
  auto* places = reinterpret_cast<int64_t*>(DynamicShared());  // (2, 64)
  auto* q = reinterpret_cast<uint16_t*>(DynamicShared() + Shape::kPlaces);
  uint16_t* d_out = q + Shape::kRows * Shape::kRow;
  uint16_t* blocks = d_out + Shape::kRows * Shape::kRow;  // (stages, keys and values, 64, kWidth)
  const int32_t end = tile.position + tile.count, last = tile.position / kKeyBlock;

  const int row = int(threadIdx.x / kWarp) * 16;
  const bool idle = first + row >= rows;
  const QueryRows mine = ReadRows(g, tile, kv_head, first + row);
  float d_q[1][kWidth / 8][4] = {};

  const auto find = [&](int32_t b) {
    FindKeys<kKeyBlock>(v, tile, kv_head, b * kKeyBlock, end, places + b % 2 * kKeyBlock);
  };
  const auto copy = [&](int32_t b) {
    uint16_t* to = blocks + b % Shape::kStages * (2 * kKeyBlock * Shape::kRow);
    const int64_t* from = places + b % 2 * kKeyBlock;
    CopyKeys<kWidth, kKeyBlock, kThreads>(v, from, 0, to);
    CopyKeys<kWidth, kKeyBlock, kThreads>(v, from, kPage * v.head_dim,
                                          to + kKeyBlock * Shape::kRow);
    CommitAsync();
  };
  find(0);
  find(1);
  CopyRows<kWidth, Shape::kRows, kThreads>(v.q, tile, kv_head, first, v.group, v.head_dim, q);
  CopyRows<kWidth, Shape::kRows, kThreads>(g.d_out, tile, kv_head, first, v.group, v.head_dim,
                                           d_out);
  for (int32_t b = 0; b <= last; ++b) {
    if (b == 0 || Shape::kStages == 1) {
      __syncthreads();
      copy(b);
    }
    WaitAsync<0>();
    __syncthreads();
    if (Shape::kStages == 2 && b < last) copy(b + 1);
    find(b + 2);
    if (idle) continue;
    const uint16_t* keys = blocks + b % Shape::kStages * (2 * kKeyBlock * Shape::kRow);
    float s[1][8][4] = {}, d_p[1][8][4] = {};
    MultiplyRows<kWidth, 1, kKeyBlock>(q, row, keys, s);
    MultiplyRows<kWidth, 1, kKeyBlock>(d_out, row, keys + kKeyBlock * Shape::kRow, d_p);
    ToScoreGradients(v.scale * kLog2E, b == last, mine, d_p, s);
    MultiplyMixed<kWidth, 1, kKeyBlock, kWidth>(s, keys, 0, d_q);
  }
  const int lane = int(threadIdx.x % kWarp);
  ALIGNLAB_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int r = first + row + lane / 4 + 8 * h;
    if (r >= rows) continue;
    const int64_t head = kv_head * v.group + r % v.group;
    float* to = g.d_q + (tile.row + r / v.group) * g.d_q_stride + head * v.head_dim;
    ALIGNLAB_UNROLL
    for (int n = 0; n < kWidth / 8; ++n) {
      ALIGNLAB_UNROLL
      for (int e = 0; e < 2; ++e) {
        const int column = 8 * n + 2 * (lane % 4) + e;
        if (column < v.head_dim) to[column] = d_q[0][n][2 * h + e] * v.scale;
      }
    }
  }
}

}  // namespace

void QueryGradientsBf16(Device& device, const AttentionArgs& args,
                        const GradientView<uint16_t>& view) {
  WithWidth<32, 64, 96, 128, 256>(args.kv.head_dim, [&](auto width) {
    using Shape = QueryShape<width>;
    const TileExtent tiles = ExtentOfTiles(device, args);
    const int64_t parts = CeilDiv(int64_t(tiles.longest) * view.forward.group, Shape::kRows);
    static_assert(Shape::kBytes <= kSharedOfBlock);
    Launch(device, QueryKernel<width>, {tiles.count, args.kv.kv_heads, parts}, Shape::kThreads,
           Shape::kBytes, view);
  });
}

}  // namespace alignlab::cuda
