// ActivationForward, ActivationBackward. Each activation is x gate(x) with a gate in [0, 1] that
// keeps its relative accuracy in the far negative tail, where 1 + tanh or 1 + erf would cancel:
//   silu:       gate = sigmoid(x)
//   gelu tanh:  gate = (1 + tanh u) / 2 = sigmoid(2u),  u = sqrt(2/pi) (x + 0.044715 x^3)
//   gelu erf:   gate = erfc(-x / sqrt 2) / 2
#include "cuda/columns.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

template <Activation kKind>
constexpr bool kGated = IsGated(kKind);  // a function of the host is none of the device

struct Gate {
  float value, slope;  // gate(x), gate'(x)
};

__device__ inline float Sigmoid(float x) { return Divide(1.0f, 1.0f + Exp(-x)); }

template <Activation kKind>
__device__ inline Gate GateOf(float x) {
  if constexpr (kKind == Activation::kSiluGated) {
    const float s = Sigmoid(x);
    return {s, s * (1.0f - s)};
  } else if constexpr (kKind == Activation::kGeluErf) {
    constexpr float kRootHalf = 0.70710678f, kDensityAtZero = 0.39894228f;
    return {0.5f * Erfc(-x * kRootHalf), kDensityAtZero * Exp(-0.5f * x * x)};
  } else {
    constexpr float kA = 1.5957691216f, kB = 0.0713548163f;  // 2 sqrt(2/pi), and times 0.044715
    const float square = x * x, s = Sigmoid(x * Fma(kB, square, kA));
    return {s, s * (1.0f - s) * Fma(3.0f * kB, square, kA)};
  }
}

template <Activation kKind, bool kWide, class T>
__global__ void Activate(RowGrid at, const T* x, int64_t x_stride, T* out, int64_t out_stride) {
  const int64_t row = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  const T* from = x + row * x_stride + c;
  Four y = LoadFour<kWide>(from, left);
  for (int i = 0; i < 4; ++i) y.v[i] *= GateOf<kKind>(y.v[i]).value;
  if constexpr (kGated<kKind>) {
    const Four up = LoadFour<kWide>(from + at.cols, left);
    for (int i = 0; i < 4; ++i) y.v[i] *= up.v[i];
  }
  StoreFour<kWide>(out + row * out_stride + c, left, y);
}

// d/dx (x gate(x)) = gate + x gate'.  d_x may be x: a thread writes where it alone has read.
template <Activation kKind, bool kWide, class T>
__global__ void ActivateBackward(RowGrid at, const T* x, int64_t x_stride, const float* d_out,
                                 int64_t d_out_stride, T* d_x, int64_t d_x_stride) {
  const int64_t row = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  const T* from = x + row * x_stride + c;
  T* to = d_x + row * d_x_stride + c;
  const Four v = LoadFour<kWide>(from, left);
  Four d = LoadFour<kWide>(d_out + row * d_out_stride + c, left), d_up = {};
  if constexpr (kGated<kKind>) {
    const Four up = LoadFour<kWide>(from + at.cols, left);
    for (int i = 0; i < 4; ++i) {
      d_up.v[i] = d.v[i] * (v.v[i] * GateOf<kKind>(v.v[i]).value);
      d.v[i] *= up.v[i];
    }
    StoreFour<kWide>(to + at.cols, left, d_up);
  }
  for (int i = 0; i < 4; ++i) {
    const Gate gate = GateOf<kKind>(v.v[i]);
    d.v[i] *= Fma(v.v[i], gate.slope, gate.value);
  }
  StoreFour<kWide>(to, left, d);
}

template <class Body>
void WithKind(Activation kind, const Body& body) {
  switch (kind) {
    case Activation::kSiluGated:
      return body(std::integral_constant<Activation, Activation::kSiluGated>());
    case Activation::kGeluTanh:
      return body(std::integral_constant<Activation, Activation::kGeluTanh>());
    case Activation::kGeluErf:
      return body(std::integral_constant<Activation, Activation::kGeluErf>());
    case Activation::kGeluTanhGated:
      return body(std::integral_constant<Activation, Activation::kGeluTanhGated>());
  }
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
