// LinearInputGradActivation: the gradient of what an activation gave stays in registers; the
// epilogue makes of it the gradient of what the activation read. As in linear_activation.cu.
#include "cuda/kernels/activation.h"
#include "cuda/kernels/hopper_product_kernel.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

// Of sums d_out: writes d_up, and act(up) once more.
template <Activation kKind>
struct StoreActivationGradient {
  static constexpr bool pairs = true;
  const uint16_t* up;
  uint16_t *out, *d_up;
  int64_t up_stride, out_stride, d_up_stride, width;

  struct OutputRow {
    static constexpr int kAhead = 16;
    struct Held {
      uint32_t x, up;  // of both columns
    };
    const uint16_t* up;
    uint16_t *out, *d_up;
    int64_t width;

    __device__ __forceinline__ Held Read(int64_t col) const {
      const auto pair = [&](int64_t c) { return *reinterpret_cast<const uint32_t*>(up + c); };
      return {pair(col), kGated<kKind> ? pair(width + col) : 0};
    }
    __device__ __forceinline__ static void Store(uint16_t* to, float x, float y) {
      *reinterpret_cast<uint32_t*>(to) = PackBf16(x, y);
    }
    __device__ __forceinline__ void Pair(int64_t col, float2 d_out, const Held& held) const {
      const float x = LowBf16(held.x), y = HighBf16(held.x);
      const float up_of_x = LowBf16(held.up), up_of_y = HighBf16(held.up);
      Store(out + col, Activated<kKind>(x, up_of_x), Activated<kKind>(y, up_of_y));
      const ActivationSlopes of_x = ActivationGradient<kKind>(x, up_of_x, d_out.x);
      const ActivationSlopes of_y = ActivationGradient<kKind>(y, up_of_y, d_out.y);
      Store(d_up + col, of_x.d_x, of_y.d_x);
      if constexpr (kGated<kKind>) Store(d_up + width + col, of_x.d_up, of_y.d_up);
    }
  };
  __device__ __forceinline__ OutputRow Row(int64_t row) const {
    return {up + row * up_stride, out + row * out_stride, d_up + row * d_up_stride, width};
  }
};

template <Activation kKind>
bool Run(Device& device, const LinearInputGradActivationArgs& args) {
  const int64_t width = args.out.cols;
  const Operands<uint16_t> of{ViewOf<uint16_t>(args.d_y), ViewOf<uint16_t>(args.weight),
                              args.d_y.rows, width, args.weight.out};
  const StoreActivationGradient<kKind> to{args.up.bf16(), args.out.bf16(), args.d_up.bf16(),
                                          args.up.stride, args.out.stride, args.d_up.stride,
                                          width};
  return MultiplyWithEpilogue<HopperTilesFor<Along::kDepth, Along::kOutput>,
                              TilesFor<uint16_t, Along::kDepth, Along::kOutput>>(device, of, to);
}

}  // namespace

bool LinearInputGradActivation(void* device, const LinearInputGradActivationArgs& args) {
  if (args.weight.dtype != DType::kBF16 || args.out.cols % 2 != 0) return false;
  if (!InPairs(args.up) || !InPairs(args.out) || !InPairs(args.d_up)) return false;
  const Operation op(device);
  return WithKind(args.kind, [&](auto kind) { return Run<kind()>(op.device(), args); });
}

}  // namespace alignlab::cuda
