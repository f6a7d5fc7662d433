// The host's side of attention: the tables of a batch, the kernels' view of the arguments, and the
// files of kernels by name.
#pragma once

#include <type_traits>

#include "cuda/kernels/attention_view.h"
#include "cuda/launch.h"
#include "error.h"

namespace alignlab::cuda {

// A table of the batch on the device, made when it is not there yet.
template <class T>
const T* BatchTable(Device& device, BatchArray which, const AttentionArgs& args,
                    std::vector<T> (*make)(const AttentionArgs&)) {
  if (const void* kept = device.Kept(which, args.batch)) return static_cast<const T*>(kept);
  const std::vector<T> table = make(args);
  return device.StageBatch(which, args.batch, table.data(), int64_t(table.size()));
}

// Counted once a batch: for a decoding step, counting takes a layer as long as all else that it
// asks of the host.
inline TileExtent ExtentOfTiles(Device& device, const AttentionArgs& args,
                                int32_t block = kKeyBlock) {
  const auto count = [&] { return ExtentOfTiles(args, block); };
  return args.batch == 0 ? count() : device.tile_extents().Of({int64_t(args.batch), block}, count);
}

// Whether rows that begin at `data` and are `stride` elements apart begin at multiples of `bytes`.
template <class T>
bool RowsAligned(const T* data, int64_t stride, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(data) % uintptr_t(bytes) == 0 &&
         stride * int64_t(sizeof(T)) % bytes == 0;
}

template <class T>
AttentionView<T> ViewOf(Device& device, const AttentionArgs& args) {
  const KvPages& kv = args.kv;
  Check(kv.head_dim <= 256 && kv.layout.key_panel == 1, "attention: head_dim or panels of keys");
  AttentionView<T> v{};
  v.segments = BatchTable(device, BatchArray::kSegments, args, FlattenSegments);
  v.pages = BatchTable(device, BatchArray::kPages, args, FlattenPages);
  v.tiles = BatchTable(device, BatchArray::kTiles, args, TilesByCost);
  v.head_dim = kv.head_dim;
  v.heads = args.heads;
  v.group = args.heads / kv.kv_heads;
  v.scale = args.scale;
  const bool whole_chunks = RowsAligned<T>(nullptr, kv.head_dim, 16);
  v.q = {static_cast<const T*>(args.q.data), args.q.stride, kv.head_dim, false};
  v.q.aligned = whole_chunks && RowsAligned(v.q.data, args.q.stride, 16);
  v.kv = static_cast<const T*>(kv.data);
  v.page_stride = kv.page_stride;
  v.kv_aligned = whole_chunks && RowsAligned(v.kv, kv.page_stride, 16);
  v.out = static_cast<T*>(args.out.data);
  v.out_stride = args.out.stride;
  v.out_in_pairs = kv.head_dim % 2 == 0 && RowsAligned(v.out, args.out.stride, 2 * sizeof(T));
  v.lse = args.lse;
  return v;
}

// with(std::integral_constant<int, width>) for the narrowest of the widths that holds head_dim.
template <int kFirst, int... kOthers, class F>
void WithWidth(int32_t head_dim, const F& with) {
  if constexpr (sizeof...(kOthers) > 0) {
    if (head_dim > kFirst) return WithWidth<kOthers...>(head_dim, with);
  }
  with(std::integral_constant<int, kFirst>());
}

void AttendBf16(Device& device, const AttentionArgs& args, const AttentionView<uint16_t>& view);
// False when the device does not use Hopper's instructions or they do not take the call; then
// nothing was written.
bool AttendByHopper(Device& device, const AttentionArgs& args, const AttentionView<uint16_t>& view);
void AttendF32(Device& device, const AttentionArgs& args, const AttentionView<float>& view);
void QueryGradientsBf16(Device& device, const AttentionArgs& args,
                        const GradientView<uint16_t>& view);
void KeyGradientsBf16(Device& device, const AttentionArgs& args,
                      const GradientView<uint16_t>& view);
// The same of the gradients.
bool QueryGradientsByHopper(Device& device, const AttentionArgs& args,
                            const GradientView<uint16_t>& view);
bool KeyGradientsByHopper(Device& device, const AttentionArgs& args,
                          const GradientView<uint16_t>& view);
void GradientsF32(Device& device, const AttentionArgs& args, const GradientView<float>& view);

}  // namespace alignlab::cuda
