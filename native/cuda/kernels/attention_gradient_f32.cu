// Gradients of attention in f32: as in attention_query_gradient.cu and attention_key_gradient.cu,
// with plain multiply-adds. One matrix at a time goes through the block's buffer.
#include "cuda/kernels/attention_ffma.h"
#include "cuda/kernels/attention_host.h"

namespace alignlab::cuda {

namespace {

constexpr int kStep = 32;                 // keys, or rows of queries, at a time
constexpr int kColumns = kStep / kGroup;  // scores of a thread in one row and step

template <int kWidth>
struct GradientShape {
  static constexpr int kR = RowsOfThread(kWidth), kRows = kGroups * kR;
  static constexpr int kRow = kRowElements<float, kWidth>;
  static constexpr size_t kPlaces = kKeyBlock * sizeof(int64_t);
  static constexpr size_t kBytes =
      kPlaces + size_t((2 * kRows + kStep) * kRow + kRows * kMixedRow<kColumns>) * sizeof(float);
};

// The memory of a block: two matrices that stay, one that comes and goes, scores.
template <int kWidth>
struct Buffers {
  int64_t* places;
  float *first, *second, *step, *mixed;

  __device__ Buffers() {
    using Shape = GradientShape<kWidth>;
    places = reinterpret_cast<int64_t*>(DynamicShared());
    first = reinterpret_cast<float*>(DynamicShared() + Shape::kPlaces);
    second = first + Shape::kRows * Shape::kRow;
    step = second + Shape::kRows * Shape::kRow;
    mixed = step + kStep * Shape::kRow;
  }
};

// copy() fills the buffer of the step that all threads have read.
template <class Copy>
__device__ __forceinline__ void Refill(const Copy& copy) {
  __syncthreads();
  copy();
  CommitAsync();
  WaitAsync<0>();
  __syncthreads();
}

// Where a row of a tile has its log-sum-exp and D; -1 past the tile's last.
__device__ inline int64_t ScalarsOf(const AttentionView<float>& v, const AttentionTile& tile,
                                    int kv_head, int row) {
  const int token = row / v.group;
  if (token >= tile.count) return -1;
  return (tile.row + token) * v.heads + kv_head * v.group + row % v.group;
}

template <int kWidth>
__global__ void __launch_bounds__(kAttentionThreads) QueryKernel(GradientView<float> g) {
  using Shape = GradientShape<kWidth>;
  constexpr int kR = Shape::kR;
  const AttentionView<float>& v = g.forward;
  const AttentionTile tile = v.tiles[blockIdx.x];
  const int kv_head = int(blockIdx.y), first = int(blockIdx.z) * Shape::kRows;
  const int rows = tile.count * v.group;
  if (first >= rows) return;
  const Buffers<kWidth> memory;
  const int32_t end = tile.position + tile.count;
  const auto copy = [&](int64_t plus) {
    Refill(
        [&] { CopyKeys<kWidth, kStep, kAttentionThreads>(v, memory.places, plus, memory.step); });
  };

  const int row = first + GroupOfThread() * kR;
  float lse[kR] = {}, dot[kR] = {}, d_q[kR][kWidth / kGroup] = {};
  ALIGNLAB_UNROLL
  for (int i = 0; i < kR; ++i) {
    const int64_t at = ScalarsOf(v, tile, kv_head, row + i);
    if (at < 0) continue;
    lse[i] = v.lse[at] * kLog2E;
    dot[i] = g.dots[at];
  }
  CopyRows<kWidth, Shape::kRows, kAttentionThreads>(v.q, tile, kv_head, first, v.group, v.head_dim,
                                                    memory.first);
  CopyRows<kWidth, Shape::kRows, kAttentionThreads>(g.d_out, tile, kv_head, first, v.group,
                                                    v.head_dim, memory.second);
  for (int32_t begin = 0; begin < end; begin += kStep) {
    FindKeys<kStep>(v, tile, kv_head, begin, end, memory.places);
    float s[kR][kColumns] = {}, d_p[kR][kColumns] = {};
    copy(0);
    MultiplyRows<kWidth>(memory.first, memory.step, s);
    copy(kPage * v.head_dim);
    MultiplyRows<kWidth>(memory.second, memory.step, d_p);
    ALIGNLAB_UNROLL
    for (int i = 0; i < kR; ++i) {
      ALIGNLAB_UNROLL
      for (int n = 0; n < kColumns; ++n) {
        const int32_t position = begin + ThreadOfGroup() + kGroup * n;
        const bool seen = position <= tile.position + (row + i) / v.group;
        const float p = Exp2(s[i][n] * (v.scale * kLog2E) - lse[i]);
        s[i][n] = seen ? p * (d_p[i][n] - dot[i]) : 0.0f;
      }
    }
    KeepRows(s, memory.mixed);
    copy(0);
    MultiplyMixed<kWidth, kR, kColumns>(memory.mixed, memory.step, d_q);
    __syncthreads();
  }
  ALIGNLAB_UNROLL
  for (int i = 0; i < kR; ++i) {
    const int r = row + i;
    if (r >= rows) continue;
    const int64_t head = kv_head * v.group + r % v.group;
    WriteColumns<kWidth>(d_q[i], v.scale, v.head_dim,
                         g.d_q + (tile.row + r / v.group) * g.d_q_stride + head * v.head_dim);
  }
}

// One step of KeyKernel: the scores p become P^T, d_p becomes dS^T. On the diagonal a key sees
// later tokens only; `key` is the first row's place in its tile.
template <int kR>
__device__ inline void ToGradients(const GradientView<float>& g, const AttentionTile& queries,
                                   int kv_head, int first, int key, bool diagonal,
                                   float (&p)[kR][kColumns], float (&d_p)[kR][kColumns]) {
  const AttentionView<float>& v = g.forward;
  ALIGNLAB_UNROLL
  for (int n = 0; n < kColumns; ++n) {
    const int row = first + ThreadOfGroup() + kGroup * n;
    const int64_t at = ScalarsOf(v, queries, kv_head, row);
    const float lse = at < 0 ? kInfinity : v.lse[at] * kLog2E, dot = at < 0 ? 0.0f : g.dots[at];
    ALIGNLAB_UNROLL
    for (int i = 0; i < kR; ++i) {
      float x = Exp2(p[i][n] * (v.scale * kLog2E) - lse);
      if (diagonal && row / v.group < key + i) x = 0;
      p[i][n] = x;
      d_p[i][n] = x * (d_p[i][n] - dot);
    }
  }
}

// One block kRows keys of a tile; three blocks of a multiprocessor leave registers enough.
template <int kWidth>
__global__ void __launch_bounds__(kAttentionThreads, 3) KeyKernel(GradientView<float> g) {
  using Shape = GradientShape<kWidth>;
  constexpr int kR = Shape::kR;
  const AttentionView<float>& v = g.forward;
  const AttentionTile tile = g.tree_tiles[blockIdx.x];
  const int kv_head = int(blockIdx.y), begin = int(blockIdx.z) * Shape::kRows;
  if (begin >= tile.count) return;
  const Buffers<kWidth> memory;
  FindKeys<Shape::kRows>(v, tile, kv_head, tile.position + begin, tile.position + tile.count,
                         memory.places);
  __syncthreads();
  CopyKeys<kWidth, Shape::kRows, kAttentionThreads>(v, memory.places, 0, memory.first);
  CopyKeys<kWidth, Shape::kRows, kAttentionThreads>(v, memory.places, kPage * v.head_dim,
                                                    memory.second);
  const int key = begin + GroupOfThread() * kR;
  float d_k[kR][kWidth / kGroup] = {}, d_v[kR][kWidth / kGroup] = {};
  for (int from = int(blockIdx.x); from < tile.end; ++from) {
    const AttentionTile queries = g.tree_tiles[from];
    for (int first = 0; first < queries.count * v.group; first += kStep) {
      const auto copy = [&](const HeadRows<float>& rows) {
        Refill([&] {
          CopyRows<kWidth, kStep, kAttentionThreads>(rows, queries, kv_head, first, v.group,
                                                     v.head_dim, memory.step);
        });
      };
      float p[kR][kColumns] = {}, d_p[kR][kColumns] = {};
      copy(v.q);
      MultiplyRows<kWidth>(memory.first, memory.step, p);
      copy(g.d_out);
      MultiplyRows<kWidth>(memory.second, memory.step, d_p);
      ToGradients(g, queries, kv_head, first, key, from == int(blockIdx.x), p, d_p);
      KeepRows(p, memory.mixed);
      MultiplyMixed<kWidth, kR, kColumns>(memory.mixed, memory.step, d_v);
      KeepRows(d_p, memory.mixed);
      copy(v.q);
      MultiplyMixed<kWidth, kR, kColumns>(memory.mixed, memory.step, d_k);
    }
  }
  ALIGNLAB_UNROLL
  for (int i = 0; i < kR; ++i) {
    if (key + i >= tile.count) continue;
    const int64_t row = tile.key_row + key + i, head = int64_t(kv_head) * v.head_dim;
    WriteColumns<kWidth>(d_k[i], v.scale, v.head_dim, g.d_k + row * g.d_k_stride + head);
    WriteColumns<kWidth>(d_v[i], 1, v.head_dim, g.d_v + row * g.d_v_stride + head);
  }
}

}  // namespace

void GradientsF32(Device& device, const AttentionArgs& args, const GradientView<float>& view) {
  WithWidth<64, 128, 256>(args.kv.head_dim, [&](auto width) {
    using Shape = GradientShape<width>;
    const TileExtent tiles = ExtentOfTiles(device, args);
    static_assert(Shape::kBytes <= kSharedOfBlock);
    Launch(device, QueryKernel<width>,
           {tiles.count, args.kv.kv_heads,
            CeilDiv(int64_t(tiles.longest) * view.forward.group, Shape::kRows)},
           kAttentionThreads, Shape::kBytes, view);
    Launch(device, KeyKernel<width>,
           {tiles.count, args.kv.kv_heads, CeilDiv(tiles.longest, Shape::kRows)}, kAttentionThreads,
           Shape::kBytes, view);
  });
}

}  // namespace alignlab::cuda
