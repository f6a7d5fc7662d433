// Attention in bf16 by Hopper's own instructions, for heads of 64 or 128 values: what
// attention_bf16.cu computes, with warpgroups for warps. One thread copies blocks of keys and
// values ahead by the TMA, two or three warpgroups have 64 rows each, whose softmax runs while the
// values of the block before are multiplied (FlashAttention-3, Shah et al. 2024).
#include <algorithm>

#include "cuda/kernels/attention_host.h"
#include "cuda/kernels/hopper_attention.h"

namespace alignlab::cuda {

namespace {

// As many blocks as multiprocessors: keys of the next part are copied while this one is finished.
template <int kWidth>
__global__ void __launch_bounds__(HopperAttendShape<kWidth>::kThreads, 1)
    HopperAttendKernel(const __grid_constant__ KeyBoxes boxes, AttentionView<uint16_t> v,
                       TileParts parts) {
#if ALIGNLAB_HOPPER
  using Shape = HopperAttendShape<kWidth>;
  const auto ring = KeyRing<kWidth>::OfBlock();
  if (threadIdx.x == 0) ring.Init(Shape::kGroups);
  __syncthreads();
  RingPlace at;
  if (threadIdx.x < kWarpgroup) {
    KeepRegisters<Shape::kCopying>();
    if (threadIdx.x > 0) return;
    const KeyCopies<kWidth> copies{ring, boxes, v};
    ForEachPart(v, parts, [&](const TilePart& part) { copies.CopyPart(at, part); });
  } else {
    TakeRegisters<Shape::kMultiplying>();
    const int place = (int(threadIdx.x) / kWarpgroup - 1) * kGroupRows;
    const float scale = v.scale * kLog2E;
    ForEachPart(v, parts, [&](const TilePart& part) {
      const int first = part.begin + place;
      int32_t last = -1;
      if (first < part.end) {
        const int after = first + kGroupRows < part.end ? first + kGroupRows : part.end;
        last = part.LastBlock(after - 1);
        AttendRows<kWidth> rows;
        rows.LoadQueries(v, part, first);
        rows.Attend(ring, at, scale, last, part.LastBlock(first));
        rows.Write(v, part, first, scale);
      }
      ring.Skip(at, part.LastBlock(part.end - 1) - last);
    });
  }
#endif
}

// Tiles with no more rows on average than one warpgroup has, those of decoding above all, are left
// to the smaller blocks of attention_bf16.cu.
bool FillsBlocks(const AttentionArgs& args, int64_t group) {
  int64_t tokens = 0;
  for (int64_t r = 0; r < args.run_count; ++r) tokens += args.runs[r].count;
  return tokens * group > CountTiles(args, kWideBlock) * kGroupRows;
}

// The pages from the first of memory to the last one that a segment has, as rows of one matrix.
BoxedMatrix RowsOfPages(const AttentionArgs& args) {
  const KvPages& kv = args.kv;
  int64_t last = 0;
  for (int64_t i = 0; i < args.segment_count; ++i) {
    const AttentionSegment& s = args.segments[i];
    for (int64_t p = 0; p < CeilDiv(s.length, kPage); ++p)
      last = std::max<int64_t>(last, s.pages[p]);
  }
  const int64_t rows = last * (kv.page_stride / kv.head_dim) + 2 * kv.kv_heads * kPage;
  return {kv.data, rows, kv.head_dim, kv.head_dim, 1};
}

KeyBoxes BoxesOf(BoxedMatrix rows, const AttentionArgs& args) {
  KeyBoxes boxes;
  boxes.rows_of_page = int(args.kv.page_stride / args.kv.head_dim);
  for (int i = 0; i < KeyBoxes::kCount; ++i) {
    rows.box_rows = 1 << i;
    boxes.of[i] = MakeTensorMap(rows);
  }
  return boxes;
}

template <int kWidth>
void Start(Device& device, const AttentionArgs& args, const KeyBoxes& boxes,
           AttentionView<uint16_t> v) {
  using Shape = HopperAttendShape<kWidth>;
  v.tiles = BatchTable(device, BatchArray::kWideTiles, args, WideTilesByCost);
  // Units of a warpgroup's rows, in parts as equal as they can be.
  const int64_t units = CeilDiv(int64_t(LongestTile(args, kWideBlock)) * v.group, kGroupRows);
  const int64_t of_tile = CeilDiv(units, Shape::kGroups);
  const int64_t all = CountTiles(args, kWideBlock) * args.kv.kv_heads * of_tile;
  if (all == 0) return;
  const TileParts parts{int(all), int(of_tile), int(CeilDiv(units, of_tile)) * kGroupRows};
  Launch(device, HopperAttendKernel<kWidth>,
         {std::min<int64_t>(all, device.properties().multiprocessors)}, Shape::kThreads,
         KeyRing<kWidth>::kSharedBytes, boxes, v, parts);
}

}  // namespace

bool AttendByHopper(Device& device, const AttentionArgs& args,
                    const AttentionView<uint16_t>& view) {
  const int width = view.head_dim;
  if (device.hopper() == HopperUse::kNever || (width != 64 && width != 128)) return false;
  if (device.hopper() == HopperUse::kLarge && !FillsBlocks(args, view.group)) return false;
  // A negative scale would make the largest score the smallest.
  if (!view.q.aligned || view.page_stride % width != 0 || !(view.scale > 0)) return false;
  const BoxedMatrix rows = RowsOfPages(args);
  if (!rows.Fits()) return false;
  const KeyBoxes boxes = BoxesOf(rows, args);
  if (width == 64)
    Start<64>(device, args, boxes, view);
  else
    Start<128>(device, args, boxes, view);
  return true;
}

}  // namespace alignlab::cuda
