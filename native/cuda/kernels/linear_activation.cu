// LinearActivation: the epilogue of the product applies the activation to what it has just summed,
// by Hopper's instructions or by the tiles of every device.
#include "cuda/kernels/activation.h"
#include "cuda/kernels/hopper_product_kernel.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

// Writes up = sums + bias and out = act(up), from the bf16 that up is rounded to.
template <Activation kKind>
struct StoreActivated {
  static constexpr bool pairs = true;
  uint16_t *up, *out;  // up: or null
  int64_t up_stride, out_stride, width;
  const float* bias;  // or null

  struct OutputRow {
    static constexpr int kAhead = 8;
    // Biases, as EmitRow's sums.
    using Held = std::conditional_t<kGated<kKind>, float4, float2>;
    const StoreActivated& store;
    uint16_t *up, *out;

    __device__ __forceinline__ float2 Bias(int64_t col) const {
      if (!store.bias) return {0, 0};
      return {store.bias[col], store.bias[col + 1]};
    }
    __device__ __forceinline__ Held Read(int64_t col) const {
      const float2 x = Bias(col);
      if constexpr (kGated<kKind>) {
        const float2 z = Bias(store.width + col);
        return {x.x, x.y, z.x, z.y};
      } else {
        return x;
      }
    }
    __device__ __forceinline__ uint32_t Up(int64_t col, float2 sums, float2 bias) const {
      const uint32_t pair =
          store.bias ? PackBf16(sums.x + bias.x, sums.y + bias.y) : PackBf16(sums.x, sums.y);
      if (up) *reinterpret_cast<uint32_t*>(up + col) = pair;
      return pair;
    }
    __device__ __forceinline__ void Out(int64_t col, uint32_t x, uint32_t up_of_x) const {
      *reinterpret_cast<uint32_t*>(out + col) =
          PackBf16(Activated<kKind>(LowBf16(x), LowBf16(up_of_x)),
                   Activated<kKind>(HighBf16(x), HighBf16(up_of_x)));
    }
    __device__ __forceinline__ void Pair(int64_t col, float2 sums, float2 bias) const {
      Out(col, Up(col, sums, bias), 0);
    }
    __device__ __forceinline__ void Pair(int64_t col, float4 sums, float4 bias) const {
      const uint32_t x = Up(col, {sums.x, sums.y}, {bias.x, bias.y});
      Out(col, x, Up(store.width + col, {sums.z, sums.w}, {bias.z, bias.w}));
    }
  };
  __device__ __forceinline__ OutputRow Row(int64_t row) const {
    return {*this, up ? up + row * up_stride : nullptr, out + row * out_stride};
  }
};

template <Activation kKind>
bool Run(Device& device, const LinearActivationArgs& args) {
  const int64_t width = args.out.cols;
  const Operands<uint16_t> of{ViewOf<uint16_t>(args.x), ViewOf<uint16_t>(args.weight), args.x.rows,
                              width, args.weight.in};
  const StoreActivated<kKind> to{args.up.bf16(),  args.out.bf16(), args.up.stride,
                                 args.out.stride, width,           args.bias};
  if constexpr (kGated<kKind>)
    return MultiplyWithEpilogue<PairedHopperTiles, PairedTiles>(device, of, to);
  else
    return MultiplyWithEpilogue<HopperTilesFor<Along::kDepth, Along::kDepth>,
                                TilesFor<uint16_t, Along::kDepth, Along::kDepth>>(device, of, to);
}

}  // namespace

bool LinearActivation(void* device, const LinearActivationArgs& args) {
  if (args.weight.dtype != DType::kBF16 || args.out.cols % 2 != 0) return false;
  if (!InPairs(args.out) || !InPairs(args.up)) return false;
  const Operation op(device);
  return WithKind(args.kind, [&](auto kind) { return Run<kind()>(op.device(), args); });
}

}  // namespace alignlab::cuda
