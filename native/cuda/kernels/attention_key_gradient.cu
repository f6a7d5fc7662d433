// Gradients of keys and values in bf16: one block a tile of keys, over all rows of queries that see
// it, in the order of TilesByTree, tokens ascending, heads of the group within. Scores are
// transposed, (keys, rows of queries), so that a warp owns 16 keys and nothing but q and d_out
// goes through shared memory:
//   P^T = 2^(scale log2e k.q - lse log2e)   dS^T = P^T (V dO^T - D)
//   dV = P^T dO                             dK = scale dS^T Q
#include "cuda/kernels/attention_host.h"
#include "cuda/kernels/attention_mma.h"

namespace alignlab::cuda {

namespace {

// kQueries rows of queries at a time, the next ones copied meanwhile. A block makes kColumns
// columns of the results: the sums of 256 do not fit the registers.
template <int kWidth>
struct KeyShape {
  static constexpr int kQueries = kWidth <= 64 ? 64 : kWidth <= 128 ? 32 : 16;
  static constexpr int kColumns = kWidth <= 128 ? kWidth : 128;
  static constexpr int kRow = kRowElements<uint16_t, kWidth>;
  static constexpr size_t kStage =  // q, d_out; of each row: log-sum-exp, D, token in the tile
      2 * kQueries * kRow * sizeof(uint16_t) + 3 * kQueries * sizeof(float);
  static constexpr size_t kPlaces = kKeyBlock * sizeof(int64_t);
  static constexpr size_t kBytes =
      kPlaces + 2 * size_t(kKeyBlock) * kRow * sizeof(uint16_t) + 2 * kStage;
};

// One stage of the copies.
template <int kWidth>
struct QueryStage {
  uint16_t *q, *d_out;
  float *lse, *dots;
  int* tokens;

  __device__ explicit QueryStage(char* memory) {
    using Shape = KeyShape<kWidth>;
    q = reinterpret_cast<uint16_t*>(memory);
    d_out = q + Shape::kQueries * Shape::kRow;
    lse = reinterpret_cast<float*>(d_out + Shape::kQueries * Shape::kRow);
    dots = lse + Shape::kQueries;
    tokens = reinterpret_cast<int*>(dots + Shape::kQueries);
  }
};

// Rows [first, first + kQueries) of a tile of queries. A row past its last has lse = inf, so that
// its probabilities are 0.
template <int kWidth>
__device__ inline void CopyStage(const GradientView<uint16_t>& g, const AttentionTile& tile,
                                 int kv_head, int first, const QueryStage<kWidth>& to) {
  using Shape = KeyShape<kWidth>;
  const AttentionView<uint16_t>& v = g.forward;
  CopyRows<kWidth, Shape::kQueries, kAttentionThreads>(v.q, tile, kv_head, first, v.group,
                                                       v.head_dim, to.q);
  CopyRows<kWidth, Shape::kQueries, kAttentionThreads>(g.d_out, tile, kv_head, first, v.group,
                                                       v.head_dim, to.d_out);
  CommitAsync();
  const int i = int(threadIdx.x);
  if (i >= Shape::kQueries) return;
  const int token = (first + i) / v.group, head = kv_head * v.group + (first + i) % v.group;
  const bool exists = token < tile.count;
  const int64_t at = exists ? (tile.row + token) * v.heads + head : 0;
  to.lse[i] = exists ? v.lse[at] * kLog2E : kInfinity;
  to.dots[i] = exists ? g.dots[at] : 0.0f;
  to.tokens[i] = token;
}

// p: scores, becomes P^T; d_p: becomes dS^T. On the diagonal a key sees later tokens only.
template <int kWidth, int kN>
__device__ __forceinline__ void ToGradients(float scale, bool diagonal, int key,
                                            const QueryStage<kWidth>& stage, float (&p)[1][kN][4],
                                            float (&d_p)[1][kN][4]) {
  ALIGNLAB_UNROLL
  for (int n = 0; n < kN; ++n) {
    ALIGNLAB_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int column = 8 * n + 2 * int(threadIdx.x % 4) + e % 2;
      float x = Exp2(p[0][n][e] * scale - stage.lse[column]);
      if (diagonal && stage.tokens[column] < key + 8 * (e / 2)) x = 0;
      p[0][n][e] = x;
      d_p[0][n][e] = x * (d_p[0][n][e] - stage.dots[column]);
    }
  }
}

// Rows of the warp's 16 keys, columns [first, first + kColumns).
template <int kColumns>
__device__ __forceinline__ void WriteKeys(const float (&d)[1][kColumns / 8][4], float factor,
                                          int key, int count, int first, int head_dim,
                                          int64_t stride, float* to) {
  const int lane = int(threadIdx.x % kWarp);
  ALIGNLAB_UNROLL
  for (int n = 0; n < kColumns / 8; ++n) {
    ALIGNLAB_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int row = key + 8 * (e / 2), column = first + 8 * n + 2 * (lane % 4) + e % 2;
      if (row < count && column < head_dim) to[row * stride + column] = d[0][n][e] * factor;
    }
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kAttentionThreads) KeyKernel(GradientView<uint16_t> g) {
  using Shape = KeyShape<kWidth>;
  constexpr int kN = Shape::kQueries / 8;
  const AttentionView<uint16_t>& v = g.forward;
  const AttentionTile tile = g.tree_tiles[blockIdx.x];
  const int kv_head = int(blockIdx.y), column = int(blockIdx.z) * Shape::kColumns;
  auto* places = reinterpret_cast<int64_t*>(DynamicShared());
  auto* keys = reinterpret_cast<uint16_t*>(DynamicShared() + Shape::kPlaces);
  uint16_t* values = keys + kKeyBlock * Shape::kRow;
  char* stages = reinterpret_cast<char*>(values + kKeyBlock * Shape::kRow);
  const auto stage_of = [&](int step) {
    return QueryStage<kWidth>(stages + step % 2 * int(Shape::kStage));
  };

  const int32_t end = tile.position + tile.count;
  FindKeys<kKeyBlock>(v, tile, kv_head, tile.position, end, places);
  __syncthreads();
  CopyKeys<kWidth, kKeyBlock, kAttentionThreads>(v, places, 0, keys);
  CopyKeys<kWidth, kKeyBlock, kAttentionThreads>(v, places, kPage * v.head_dim, values);

  const int lane = int(threadIdx.x % kWarp), row = int(threadIdx.x / kWarp) * 16;
  const int key = row + lane / 4;  // and the one 8 further on
  float d_k[1][Shape::kColumns / 8][4] = {}, d_v[1][Shape::kColumns / 8][4] = {};
  int from = int(blockIdx.x), first = 0;  // tile of queries, and its row
  AttentionTile queries = tile;
  CopyStage(g, queries, kv_head, first, stage_of(0));
  for (int step = 0; from < tile.end; ++step) {
    WaitAsync<0>();
    __syncthreads();  // the stage is there, nobody reads the other one
    const bool diagonal = from == int(blockIdx.x);
    first += Shape::kQueries;
    if (first >= queries.count * v.group) {
      first = 0;
      if (++from < tile.end) queries = g.tree_tiles[from];
    }
    if (from < tile.end) CopyStage(g, queries, kv_head, first, stage_of(step + 1));
    if (row >= tile.count) continue;
    const QueryStage<kWidth> stage = stage_of(step);
    float p[1][kN][4] = {}, d_p[1][kN][4] = {};
    MultiplyRows<kWidth, 1, Shape::kQueries>(keys, row, stage.q, p);
    MultiplyRows<kWidth, 1, Shape::kQueries>(values, row, stage.d_out, d_p);
    ToGradients<kWidth>(v.scale * kLog2E, diagonal, key, stage, p, d_p);
    MultiplyMixed<kWidth, 1, Shape::kQueries, Shape::kColumns>(p, stage.d_out, column, d_v);
    MultiplyMixed<kWidth, 1, Shape::kQueries, Shape::kColumns>(d_p, stage.q, column, d_k);
  }
  const int64_t head = int64_t(kv_head) * v.head_dim;
  WriteKeys<Shape::kColumns>(d_k, v.scale, key, tile.count, column, v.head_dim, g.d_k_stride,
                             g.d_k + tile.key_row * g.d_k_stride + head);
  WriteKeys<Shape::kColumns>(d_v, 1, key, tile.count, column, v.head_dim, g.d_v_stride,
                             g.d_v + tile.key_row * g.d_v_stride + head);
}

}  // namespace

void KeyGradientsBf16(Device& device, const AttentionArgs& args,
                      const GradientView<uint16_t>& view) {
  WithWidth<32, 64, 96, 128, 256>(args.kv.head_dim, [&](auto width) {
    using Shape = KeyShape<width>;
    static_assert(Shape::kBytes <= kSharedOfBlock);
    Launch(device, KeyKernel<width>,
           {ExtentOfTiles(device, args).count, args.kv.kv_heads, width / Shape::kColumns},
           kAttentionThreads, Shape::kBytes, view);
  });
}

}  // namespace alignlab::cuda
