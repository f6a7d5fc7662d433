// Attention in bf16: online softmax (Milakov & Gimelshein 2018; FlashAttention-2, Dao 2023) over
// blocks of 64 positions in ascending order, P rounded to bf16 before P V.
#include "cuda/kernels/attention_host.h"
#include "cuda/kernels/attention_mma.h"

namespace alignlab::cuda {

namespace {

// Of a thread's rows (two in each tile of 16): the largest scaled score so far, and this thread's
// share of the sum of 2^(score - max).
template <int kTiles>
struct SoftmaxState {
  float max[kTiles][2], sum[kTiles][2];
};

// Scores to probabilities, and what came before to the new maximum. Only the last block holds keys
// that a row does not see: those in columns above limit. Every row sees a key of every block of
// its tile, so no maximum is -inf that a finite score could replace.
template <int kTiles, int kColumns>
__device__ __forceinline__ void SoftmaxBlock(float scale, bool last, const int (&limit)[kTiles][2],
                                             float (&s)[kTiles][8][4], SoftmaxState<kTiles>& state,
                                             float (&o)[kTiles][kColumns / 8][4]) {
  const int first = 2 * int(threadIdx.x % 4);
  ALIGNLAB_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      float max = state.max[i][h];
      ALIGNLAB_UNROLL
      for (int n = 0; n < 8; ++n) {
        s[i][n][2 * h] *= scale;
        s[i][n][2 * h + 1] *= scale;
        if (last) {
          if (8 * n + first > limit[i][h]) s[i][n][2 * h] = -kInfinity;
          if (8 * n + first + 1 > limit[i][h]) s[i][n][2 * h + 1] = -kInfinity;
        }
        max = Max(max, Max(s[i][n][2 * h], s[i][n][2 * h + 1]));
      }
      max = Max(max, ShuffleXor(max, 1));
      max = Max(max, ShuffleXor(max, 2));
      const float before = Exp2(state.max[i][h] - max);
      float sum = 0;
      ALIGNLAB_UNROLL
      for (int n = 0; n < 8; ++n) {
        sum += s[i][n][2 * h] = Exp2(s[i][n][2 * h] - max);
        sum += s[i][n][2 * h + 1] = Exp2(s[i][n][2 * h + 1] - max);
      }
      state.max[i][h] = max;
      state.sum[i][h] = state.sum[i][h] * before + sum;
      ALIGNLAB_UNROLL
      for (int n = 0; n < kColumns / 8; ++n) {
        o[i][n][2 * h] *= before;
        o[i][n][2 * h + 1] *= before;
      }
    }
  }
}

// kBlocks of a multiprocessor: as many as the registers that a thread needs allow.
template <int kWidth, int kTiles>
struct AttendShape {
  static constexpr int kBlocks = kTiles > 1 || kWidth > 128 ? 2 : kWidth > 64 ? 3 : 4;
  static constexpr int kRows = 64 * kTiles, kRow = kRowElements<uint16_t, kWidth>;
  static constexpr size_t kPlaces = 2 * kKeyBlock * sizeof(int64_t);
  static constexpr size_t kBytes =
      kPlaces + size_t(kRows + 2 * kKeyBlock) * kRow * sizeof(uint16_t);
};

// Four warps; the copy of a block's values runs under its scores, that of the next block's keys
// under the product with the values.
template <int kWidth, int kTiles>
__global__ void __launch_bounds__(kAttentionThreads, AttendShape<kWidth, kTiles>::kBlocks)
    AttendKernel(AttentionView<uint16_t> v) {
  using Shape = AttendShape<kWidth, kTiles>;
  const AttentionTile tile = v.tiles[blockIdx.x];
  const int kv_head = int(blockIdx.y), first = int(blockIdx.z) * Shape::kRows;
  const int rows = tile.count * v.group;
  if (first >= rows) return;
  auto* places = reinterpret_cast<int64_t*>(DynamicShared());  // (2, 64)
  auto* q = reinterpret_cast<uint16_t*>(DynamicShared() + Shape::kPlaces);
  uint16_t* keys = q + Shape::kRows * Shape::kRow;
  uint16_t* values = keys + kKeyBlock * Shape::kRow;
  const int32_t end = tile.position + tile.count, last = tile.position / kKeyBlock;
  const int64_t to_value = kPage * v.head_dim;

  const int lane = int(threadIdx.x % kWarp);
  const int row = int(threadIdx.x / kWarp) * 16 * kTiles;  // of the warp, in the block
  const bool idle = first + row >= rows;
  int limit[kTiles][2];
  SoftmaxState<kTiles> state;
  float o[kTiles][kWidth / 8][4] = {};
  ALIGNLAB_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int token = (first + row + 16 * i + lane / 4 + 8 * h) / v.group;
      limit[i][h] = tile.position % kKeyBlock + token;
      state.max[i][h] = -kInfinity;
      state.sum[i][h] = 0;
    }
  }

  FindKeys<kKeyBlock>(v, tile, kv_head, 0, end, places);
  __syncthreads();
  CopyRows<kWidth, Shape::kRows, kAttentionThreads>(v.q, tile, kv_head, first, v.group, v.head_dim,
                                                    q);
  CopyKeys<kWidth, kKeyBlock, kAttentionThreads>(v, places, 0, keys);
  CommitAsync();
  for (int32_t b = 0; b <= last; ++b) {
    const int64_t *here = places + b % 2 * kKeyBlock, *next = places + (b + 1) % 2 * kKeyBlock;
    WaitAsync<0>();
    __syncthreads();  // the keys are there, nobody reads the values of the block before
    CopyKeys<kWidth, kKeyBlock, kAttentionThreads>(v, here, to_value, values);
    CommitAsync();
    FindKeys<kKeyBlock>(v, tile, kv_head, (b + 1) * kKeyBlock, end, const_cast<int64_t*>(next));
    float s[kTiles][8][4] = {};
    if (!idle) {
      MultiplyRows<kWidth, kTiles, kKeyBlock>(q, row, keys, s);
      SoftmaxBlock<kTiles, kWidth>(v.scale * kLog2E, b == last, limit, s, state, o);
    }
    WaitAsync<0>();
    __syncthreads();  // the values are there, nobody reads the keys
    if (b < last) CopyKeys<kWidth, kKeyBlock, kAttentionThreads>(v, next, 0, keys);
    CommitAsync();
    if (!idle) MultiplyMixed<kWidth, kTiles, kKeyBlock, kWidth>(s, values, 0, o);
  }
  WaitAsync<0>();
  if (idle) return;
  ALIGNLAB_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      float sum = state.sum[i][h];
      sum += ShuffleXor(sum, 1);
      sum += ShuffleXor(sum, 2);
      const int r = first + row + 16 * i + lane / 4 + 8 * h;
      if (r < rows)
        WriteRow<kWidth>(v, tile.row + r / v.group, kv_head * v.group + r % v.group,
                         state.max[i][h], sum, [&](int n, int e) { return o[i][n][2 * h + e]; });
    }
  }
}

template <int kWidth, int kTiles>
void Start(Device& device, const AttentionArgs& args, const AttentionView<uint16_t>& view) {
  using Shape = AttendShape<kWidth, kTiles>;
  const TileExtent tiles = ExtentOfTiles(device, args);
  const int64_t parts = CeilDiv(int64_t(tiles.longest) * view.group, Shape::kRows);
  static_assert(Shape::kBytes <= kSharedOfBlock);
  Launch(device, AttendKernel<kWidth, kTiles>, {tiles.count, args.kv.kv_heads, parts},
         kAttentionThreads, Shape::kBytes, view);
}

}  // namespace

void AttendBf16(Device& device, const AttentionArgs& args, const AttentionView<uint16_t>& view) {
  WithWidth<32, 64, 96, 128, 256>(args.kv.head_dim, [&](auto width) {
    constexpr int kWidth = width;
    // Twice the rows read the keys half as often. Wider ones do not fit the registers.
    if constexpr (kWidth == 64) {
      if (int64_t(ExtentOfTiles(device, args).longest) * view.group > AttendShape<kWidth, 1>::kRows)
        return Start<kWidth, 2>(device, args, view);
    }
    Start<kWidth, 1>(device, args, view);
  });
}

}  // namespace alignlab::cuda
