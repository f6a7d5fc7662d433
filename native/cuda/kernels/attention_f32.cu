// Attention in f32: as in attention_bf16.cu, with plain multiply-adds.
#include "cuda/kernels/attention_ffma.h"
#include "cuda/kernels/attention_host.h"

namespace alignlab::cuda {

namespace {

constexpr int kColumns = kKeyBlock / kGroup;  // scores of a thread in one row and block

template <int kWidth>
struct AttendShape {
  static constexpr int kR = RowsOfThread(kWidth), kRows = kGroups * kR;
  static constexpr int kRow = kRowElements<float, kWidth>;
  static constexpr size_t kPlaces = kKeyBlock * sizeof(int64_t);
  static constexpr size_t kBytes =
      kPlaces + size_t((kRows + kKeyBlock) * kRow + kRows * kMixedRow<kColumns>) * sizeof(float);
};

// Scores to probabilities, and what came before to the new maximum; columns above limit are not
// seen. `sum` is this thread's share.
template <int kR, int kOut>
__device__ __forceinline__ void SoftmaxBlock(float scale, bool last, const int (&limit)[kR],
                                             float (&s)[kR][kColumns], float (&max)[kR],
                                             float (&sum)[kR], float (&o)[kR][kOut]) {
  ALIGNLAB_UNROLL
  for (int i = 0; i < kR; ++i) {
    const float old = max[i];
    ALIGNLAB_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      s[i][n] *= scale;
      if (last && ThreadOfGroup() + kGroup * n > limit[i]) s[i][n] = -kInfinity;
      max[i] = Max(max[i], s[i][n]);
    }
    ALIGNLAB_UNROLL
    for (int mask = kGroup / 2; mask > 0; mask /= 2) max[i] = Max(max[i], ShuffleXor(max[i], mask));
    const float before = Exp2(old - max[i]);
    float share = 0;
    ALIGNLAB_UNROLL
    for (int n = 0; n < kColumns; ++n) share += s[i][n] = Exp2(s[i][n] - max[i]);
    sum[i] = sum[i] * before + share;
    ALIGNLAB_UNROLL
    for (int j = 0; j < kOut; ++j) o[i][j] *= before;
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kAttentionThreads) AttendKernel(AttentionView<float> v) {
  using Shape = AttendShape<kWidth>;
  constexpr int kR = Shape::kR;
  const AttentionTile tile = v.tiles[blockIdx.x];
  const int kv_head = int(blockIdx.y), first = int(blockIdx.z) * Shape::kRows;
  const int rows = tile.count * v.group;
  if (first >= rows) return;
  auto* places = reinterpret_cast<int64_t*>(DynamicShared());
  float* q = reinterpret_cast<float*>(DynamicShared() + Shape::kPlaces);
  float* block = q + Shape::kRows * Shape::kRow;  // keys, then values
  float* mixed = block + kKeyBlock * Shape::kRow;
  const int32_t end = tile.position + tile.count, last = tile.position / kKeyBlock;

  int limit[kR];
  float max[kR], sum[kR] = {}, o[kR][kWidth / kGroup] = {};
  ALIGNLAB_UNROLL
  for (int i = 0; i < kR; ++i) {
    limit[i] = tile.position % kKeyBlock + (first + GroupOfThread() * kR + i) / v.group;
    max[i] = -kInfinity;
  }
  CopyRows<kWidth, Shape::kRows, kAttentionThreads>(v.q, tile, kv_head, first, v.group, v.head_dim,
                                                    q);
  for (int32_t b = 0; b <= last; ++b) {
    FindKeys<kKeyBlock>(v, tile, kv_head, b * kKeyBlock, end, places);
    __syncthreads();  // nobody reads the values of the block before
    CopyKeys<kWidth, kKeyBlock, kAttentionThreads>(v, places, 0, block);
    CommitAsync();
    WaitAsync<0>();
    __syncthreads();
    float s[kR][kColumns] = {};
    MultiplyRows<kWidth>(q, block, s);
    SoftmaxBlock(v.scale * kLog2E, b == last, limit, s, max, sum, o);
    KeepRows(s, mixed);
    __syncthreads();
    CopyKeys<kWidth, kKeyBlock, kAttentionThreads>(v, places, kPage * v.head_dim, block);
    CommitAsync();
    WaitAsync<0>();
    __syncthreads();
    MultiplyMixed<kWidth, kR, kColumns>(mixed, block, o);
  }
  ALIGNLAB_UNROLL
  for (int i = 0; i < kR; ++i) {
    ALIGNLAB_UNROLL
    for (int mask = kGroup / 2; mask > 0; mask /= 2) sum[i] += ShuffleXor(sum[i], mask);
  }
  ALIGNLAB_UNROLL
  for (int i = 0; i < kR; ++i) {
    const int r = first + GroupOfThread() * kR + i;
    if (r >= rows) continue;
    const int64_t row = tile.row + r / v.group;
    const int head = kv_head * v.group + r % v.group;
    WriteColumns<kWidth>(o[i], Divide(1, sum[i]), v.head_dim,
                         v.out + row * v.out_stride + int64_t(head) * v.head_dim);
    if (v.lse && ThreadOfGroup() == 0) v.lse[row * v.heads + head] = max[i] * kLn2 + Log(sum[i]);
  }
}

}  // namespace

void AttendF32(Device& device, const AttentionArgs& args, const AttentionView<float>& view) {
  WithWidth<64, 128, 256>(args.kv.head_dim, [&](auto width) {
    using Shape = AttendShape<width>;
    const TileExtent tiles = ExtentOfTiles(device, args);
    const int64_t parts = CeilDiv(int64_t(tiles.longest) * view.group, Shape::kRows);
    static_assert(Shape::kBytes <= kSharedOfBlock);
    Launch(device, AttendKernel<width>, {tiles.count, args.kv.kv_heads, parts}, kAttentionThreads,
           Shape::kBytes, view);
  });
}

}  // namespace alignlab::cuda
