// Attention in bf16 by Hopper's own instructions, for heads of 64 or 128 values: what
// attention_bf16.cu computes, with warpgroups for warps. One thread copies blocks of keys and
// values ahead by the TMA, two warpgroups have 64 rows each, with scores under way while values are
// multiplied (FlashAttention-3, Shah et al. 2024).
#include <limits>

#include "cuda/kernels/attention_host.h"
#include "cuda/kernels/hopper_attention.h"

namespace alignlab::cuda {

namespace {

// Registers of the threads that copy and of those that multiply: together at most what the blocks
// of a multiprocessor, kBlocks of them, were started with.
template <int kWidth>
struct HopperAttendShape {
  static constexpr int kGroups = 2;  // that multiply
  static constexpr int kRows = 64 * kGroups, kThreads = (1 + kGroups) * kWarpgroup;
  static constexpr int kBlocks = 1;
  static constexpr int kCopying = 40, kMultiplying = 232;
};

template <int kWidth>
__global__ void __launch_bounds__(HopperAttendShape<kWidth>::kThreads,
                                  HopperAttendShape<kWidth>::kBlocks)
    HopperAttendKernel(const __grid_constant__ KeyBoxes boxes, AttentionView<uint16_t> v,
                       int parts) {
#if ALIGNLAB_HOPPER
  using Shape = HopperAttendShape<kWidth>;
  // Parts of a tile, then key/value heads, then tiles: those with most keys first.
  const int kv_heads = v.heads / v.group;
  const AttentionTile tile = v.tiles[blockIdx.x / unsigned(parts) / unsigned(kv_heads)];
  const int kv_head = int(blockIdx.x / unsigned(parts) % unsigned(kv_heads));
  const int begin = int(blockIdx.x % unsigned(parts)) * Shape::kRows;
  const int rows = tile.count * v.group;
  if (begin >= rows) return;
  const int end = begin + Shape::kRows < rows ? begin + Shape::kRows : rows;
  const auto block_of = [&](int row) { return (tile.position + row / v.group) / kKeyBlock; };

  const auto ring = KeyRing<kWidth>::OfBlock();
  if (threadIdx.x == 0) ring.Init(int(CeilDiv(end - begin, 64)));
  __syncthreads();
  if (threadIdx.x < kWarpgroup) {
    KeepRegisters<Shape::kCopying>();
    if (threadIdx.x > 0) return;
    KeyCopies<kWidth>{ring, boxes, v, tile, kv_head}.CopyAll(block_of(end - 1));
  } else {
    const int first = begin + (int(threadIdx.x) / kWarpgroup - 1) * 64;
    if (first >= end) return;
    TakeRegisters<Shape::kMultiplying>();
    const float scale = v.scale * kLog2E;
    AttendRows<kWidth> group;
    group.LoadQueries(v, tile, kv_head, first);
    // The other warpgroup may see one block more. Nobody waits for this one to release it: a ring
    // has more stages.
    static_assert(kWideBlock / kKeyBlock <= KeyRing<kWidth>::kStages);
    const int last_row = first + 63 < end ? first + 63 : end - 1;
    group.Attend(ring, scale, block_of(last_row), block_of(first));
    group.Write(v, tile, kv_head, first, scale);
  }
#endif
}

// Runs that fill less than half of a block's rows on average, those of decoding above all, are left
// to the smaller blocks of attention_bf16.cu.
bool FillsBlocks(const AttentionArgs& args, int64_t group, int rows_of_block) {
  int64_t tokens = 0;
  for (int64_t r = 0; r < args.run_count; ++r) tokens += args.runs[r].count;
  return 2 * tokens * group > CountTiles(args, kWideBlock) * rows_of_block;
}

template <int kWidth>
bool Start(Device& device, const AttentionArgs& args, AttentionView<uint16_t> v) {
  using Shape = HopperAttendShape<kWidth>;
  // Which pages there are is known by the tables, not by the map.
  const BoxedMatrix pages{v.kv, std::numeric_limits<int32_t>::max(), kWidth, kWidth, 1};
  if (!pages.Fits()) return false;
  KeyBoxes boxes;
  for (int i = 0; i < KeyBoxes::kCount; ++i) {
    BoxedMatrix box = pages;
    box.box_rows = 1 << i;
    boxes.of[i] = MakeTensorMap(box);
  }
  boxes.rows_of_page = int(v.page_stride / kWidth);
  v.tiles = BatchTable(device, BatchArray::kWideTiles, args, WideTilesByCost);
  const int64_t parts = CeilDiv(int64_t(LongestTile(args, kWideBlock)) * v.group, Shape::kRows);
  Launch(device, HopperAttendKernel<kWidth>,
         {CountTiles(args, kWideBlock) * args.kv.kv_heads * parts}, Shape::kThreads,
         KeyRing<kWidth>::kSharedBytes, boxes, v, int(parts));
  return true;
}

}  // namespace

bool AttendByHopper(Device& device, const AttentionArgs& args,
                    const AttentionView<uint16_t>& view) {
  const int width = view.head_dim;
  if (device.hopper() == HopperUse::kNever || (width != 64 && width != 128)) return false;
  if (device.hopper() == HopperUse::kLarge && !FillsBlocks(args, view.group, 128)) return false;
  // A negative scale would make the largest score the smallest.
  if (!view.q.aligned || view.page_stride % width != 0 || !(view.scale > 0)) return false;
  return width == 64 ? Start<64>(device, args, view) : Start<128>(device, args, view);
}

}  // namespace alignlab::cuda
