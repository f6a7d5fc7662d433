// Attention in bf16 by Hopper's own instructions, for heads of 64 or 128 values: what
// attention_bf16.cu computes, with warpgroups for warps. One thread copies blocks of keys and
// values ahead by the TMA, two or three warpgroups have 64 rows each, whose softmax runs while the
// values of the block before are multiplied (FlashAttention-3, Shah et al. 2024).
#include "cuda/kernels/hopper_attention.h"
#include "cuda/kernels/hopper_host.h"

namespace alignlab::cuda {

namespace {

// As many blocks as multiprocessors: keys of the next part are copied while this one is finished.
template <int kWidth>
__global__ void __launch_bounds__(HopperAttendShape<kWidth>::kThreads, 1)
    HopperAttendKernel(const __grid_constant__ KeyBoxes boxes, AttentionView<uint16_t> v,
                       TileParts parts) {
#if ALIGNLAB_HOPPER
  const float scale = v.scale * kLog2E;
  RunParts<kWidth, HopperAttendShape<kWidth>>(
      boxes, v, parts,
      [&](const TilePart& part, const KeyRing<kWidth>& ring, RingPlace& at, int first, int32_t last,
          int32_t masked) {
        AttendRows<kWidth> rows;
        rows.LoadQueries(v, part, first);
        rows.Attend(ring, at, scale, last, masked);
        rows.Write(v, part, first, scale);
      });
#endif
}

template <int kWidth>
void Start(Device& device, const AttentionArgs& args, const KeyBoxes& boxes,
           AttentionView<uint16_t> v) {
  using Shape = HopperAttendShape<kWidth>;
  v.tiles = BatchTable(device, BatchArray::kWideTiles, args, WideTilesByCost);
  const TileParts parts = PartsOfTiles(device, args, v.group, Shape::kGroups);
  Launch(device, HopperAttendKernel<kWidth>,
         {std::min<int64_t>(parts.all, device.properties().multiprocessors)}, Shape::kThreads,
         KeyRing<kWidth>::kSharedBytes, boxes, v, parts);
}

}  // namespace

bool AttendByHopper(Device& device, const AttentionArgs& args,
                    const AttentionView<uint16_t>& view) {
  // A negative scale would make the largest score the smallest.
  if (!(view.scale > 0)) return false;
  const auto boxes = BoxesByHopper(device, args, view, view.group);
  if (!boxes) return false;
  if (view.head_dim == 64)
    Start<64>(device, args, *boxes, view);
  else
    Start<128>(device, args, *boxes, view);
  return true;
}

}  // namespace alignlab::cuda
