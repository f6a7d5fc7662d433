// Attention and AttentionBackward: dispatch by compute type, and what comes before the gradients.
#include "cuda/kernels/attention_host.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int kHeadsOfBlock = 4;

// One warp a head of a token: d_out in the compute type, each head padded with zeros to `padded`
// elements, and its product with out. The product takes what was rounded, so that the dS of a row
// add up to 0 as far as P and out allow.
template <class T>
__global__ void PrepareGradients(AttentionView<T> v, const float* d_out, int64_t d_out_stride,
                                 int padded, int64_t count, T* rounded, float* dots) {
  const int lane = int(threadIdx.x % kWarp);
  const int64_t index = int64_t(blockIdx.x) * kHeadsOfBlock + threadIdx.x / kWarp;
  if (index >= count) return;
  const int64_t row = index / v.heads, head = index % v.heads;
  const float* from = d_out + row * d_out_stride + head * v.head_dim;
  const T* out = v.out + row * v.out_stride + head * v.head_dim;
  T* to = rounded + index * padded;
  float dot = 0;
  for (int k = lane; k < padded; k += kWarp) {
    StoreElement(to + k, k < v.head_dim ? from[k] : 0.0f);
    if (k < v.head_dim) dot = Fma(LoadElement(to + k), LoadElement(out + k), dot);
  }
  dot = WarpSum(dot);
  if (lane == 0) dots[index] = dot;
}

// All but tree_tiles.
template <class T>
GradientView<T> GradientViewOf(Device& device, const AttentionBackwardArgs& args) {
  GradientView<T> g{};
  g.forward = ViewOf<T>(device, args.forward);
  const int64_t padded = RoundUp(g.forward.head_dim, kChunk<T>);
  const int64_t count = args.d_out.rows * g.forward.heads;
  T* rounded = device.Scratch<T>(count * padded);
  float* dots = device.Scratch<float>(count);
  Launch(device, PrepareGradients<T>, {CeilDiv(count, kHeadsOfBlock)}, kHeadsOfBlock * kWarp, 0,
         g.forward, args.d_out.f32(), args.d_out.stride, padded, count, rounded, dots);
  g.d_out = {rounded, padded * g.forward.heads, int32_t(padded), true};
  g.dots = dots;
  g.d_q = args.d_q.f32();
  g.d_k = args.d_k.f32();
  g.d_v = args.d_v.f32();
  g.d_q_stride = args.d_q.stride;
  g.d_k_stride = args.d_k.stride;
  g.d_v_stride = args.d_v.stride;
  return g;
}

const AttentionTile* TreeTilesOf(Device& device, const AttentionBackwardArgs& args) {
  return BatchTable(device, BatchArray::kTreeTiles, args.forward, TilesByTree);
}

}  // namespace

void Attention(void* device, const AttentionArgs& args) {
  const Operation op(device);
  if (args.kv.layout.dtype == DType::kF32) {
    AttendF32(op.device(), args, ViewOf<float>(op.device(), args));
    return;
  }
  const auto view = ViewOf<uint16_t>(op.device(), args);
  if (!AttendByHopper(op.device(), args, view)) AttendBf16(op.device(), args, view);
}

void AttentionBackward(void* device, const AttentionBackwardArgs& args) {
  const Operation op(device);
  if (args.forward.kv.layout.dtype == DType::kF32) {
    auto view = GradientViewOf<float>(op.device(), args);
    view.tree_tiles = TreeTilesOf(op.device(), args);
    GradientsF32(op.device(), args.forward, view);
    return;
  }
  auto view = GradientViewOf<uint16_t>(op.device(), args);
  if (!QueryGradientsByHopper(op.device(), args.forward, view))
    QueryGradientsBf16(op.device(), args.forward, view);
  if (KeyGradientsByHopper(op.device(), args.forward, view)) return;
  view.tree_tiles = TreeTilesOf(op.device(), args);
  KeyGradientsBf16(op.device(), args.forward, view);
}

}  // namespace alignlab::cuda
