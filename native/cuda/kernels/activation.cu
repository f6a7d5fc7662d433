// ActivationForward, ActivationBackward.
#include "cuda/columns.h"
#include "cuda/kernels/activation.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

template <Activation kKind, bool kWide, class T>
__global__ void Activate(RowGrid at, const T* x, int64_t x_stride, T* out, int64_t out_stride) {
  const int64_t row = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  const T* from = x + row * x_stride + c;
  Four y = LoadFour<kWide>(from, left), up = {};
  if constexpr (kGated<kKind>) up = LoadFour<kWide>(from + at.cols, left);
  for (int i = 0; i < 4; ++i) y.v[i] = Activated<kKind>(y.v[i], up.v[i]);
  StoreFour<kWide>(out + row * out_stride + c, left, y);
}

// d_x may be x: a thread writes where it alone has read.
template <Activation kKind, bool kWide, class T>
__global__ void ActivateBackward(RowGrid at, const T* x, int64_t x_stride, const float* d_out,
                                 int64_t d_out_stride, T* d_x, int64_t d_x_stride) {
  const int64_t row = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  const T* from = x + row * x_stride + c;
  T* to = d_x + row * d_x_stride + c;
  const Four v = LoadFour<kWide>(from, left);
  Four d = LoadFour<kWide>(d_out + row * d_out_stride + c, left), up = {};
  if constexpr (kGated<kKind>) up = LoadFour<kWide>(from + at.cols, left);
  for (int i = 0; i < 4; ++i) {
    const ActivationSlopes slopes = ActivationGradient<kKind>(v.v[i], up.v[i], d.v[i]);
    d.v[i] = slopes.d_x;
    up.v[i] = slopes.d_up;
  }
  if constexpr (kGated<kKind>) StoreFour<kWide>(to + at.cols, left, up);
  StoreFour<kWide>(to, left, d);
}

}  // namespace

// Where fours of out lie together the width is a multiple of four, so fours of x's second half do
// when those of its first do.
void ActivationForward(void* device, const ActivationArgs& args) {
  const Operation op(device);
  const RowGrid at(args.out.rows, args.out.cols);
  WithElements(args.x, [&](auto* x) {
    using T = std::remove_pointer_t<decltype(x)>;
    WithKind(args.kind, [&](auto kind) {
      WithFlag(IsWide(args.x) && IsWide(args.out), [&](auto wide) {
        Launch(op.device(), Activate<kind(), wide(), T>, at.grid(), RowGrid::kThreads, 0, at, x,
               args.x.stride, static_cast<T*>(args.out.data), args.out.stride);
      });
    });
  });
}

void ActivationBackward(void* device, const ActivationBackwardArgs& args) {
  const Operation op(device);
  const RowGrid at(args.d_out.rows, args.d_out.cols);
  WithElements(args.x, [&](auto* x) {
    using T = std::remove_pointer_t<decltype(x)>;
    WithKind(args.kind, [&](auto kind) {
      WithFlag(IsWide(args.x) && IsWide(args.d_out) && IsWide(args.d_x), [&](auto wide) {
        Launch(op.device(), ActivateBackward<kind(), wide(), T>, at.grid(), RowGrid::kThreads, 0,
               at, x, args.x.stride, args.d_out.f32(), args.d_out.stride,
               static_cast<T*>(args.d_x.data), args.d_x.stride);
      });
    });
  });
}

}  // namespace alignlab::cuda
