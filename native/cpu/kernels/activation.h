// The MLP's activations. Each is x * gate(x) with a gate in [0, 1] written so that it keeps its
// relative accuracy in the far negative tail, where 1 + tanh or 1 + erf would cancel:
//   silu:       gate = sigmoid(x)
//   gelu tanh:  gate = (1 + tanh u) / 2 = sigmoid(2u),  u = sqrt(2/pi) (x + 0.044715 x^3)
//   gelu erf:   gate = Phi(x), the normal distribution function
#pragma once

#include "cpu/kernels/rows.h"

namespace alignlab {
namespace {

struct Gate {
  Vec value, slope;  // gate(x), gate'(x)
};

inline Gate SigmoidGate(Vec x) {
  const Vec s = Sigmoid(x);
  return {s, Mul(s, Sub(Set1(1.0f), s))};
}

inline Gate TanhGate(Vec x) {
  const Vec square = Mul(x, x);
  const Vec a = Set1(1.5957691216f), b = Set1(0.0713548163f);  // 2 sqrt(2/pi), and times 0.044715
  const Vec s = Sigmoid(Mul(x, Fma(b, square, a)));
  const Vec inner = Fma(Mul(Set1(3.0f), b), square, a);
  return {s, Mul(Mul(s, Sub(Set1(1.0f), s)), inner)};
}

// Phi(-|x|) = exp(-x^2/2) R(t) / 2 with t = 1 / (1 + z/2), z = |x| / sqrt(2), R(t) ~ exp(z^2)
// erfc(z): a polynomial in t fitted to the relative error (below 3e-8, and 3e-7 with float
// rounding) on z <= 9.6, beyond which the exponential is zero.
inline Gate NormalGate(Vec x) {
  const Vec magnitude = Max(x, Sub(Zero(), x));
  const Vec t = Div(Set1(1.0f), Fma(magnitude, Set1(0.35355339f), Set1(1.0f)));
  Vec r = Set1(0.014786863f);
  r = Fma(r, t, Set1(-0.136321673f));
  r = Fma(r, t, Set1(0.458322315f));
  r = Fma(r, t, Set1(-0.707314835f));
  r = Fma(r, t, Set1(0.450598308f));
  r = Fma(r, t, Set1(-0.113095558f));
  r = Fma(r, t, Set1(0.230301652f));
  r = Fma(r, t, Set1(0.237702318f));
  r = Fma(r, t, Set1(0.282960954f));
  r = Fma(r, t, Set1(0.282059644f));
  const Vec e = Exp(Mul(Mul(x, x), Set1(-0.5f)));
  const Vec tail = Mul(Mul(e, Set1(0.5f)), Mul(r, t));
  const Vec value = Select(Less(x, Zero()), tail, Sub(Set1(1.0f), tail));
  return {value, Mul(e, Set1(0.3989422804f))};
}

template <Activation kind>
inline Gate GateOf(Vec x) {
  if constexpr (kind == Activation::kSiluGated) return SigmoidGate(x);
  if constexpr (kind == Activation::kGeluErf) return NormalGate(x);
  return TanhGate(x);
}

template <Activation kind, class T>
inline void ActivationRow(const T* x, T* out, int64_t width) {
  ForVectors(0, width, [&](int64_t c, int64_t n) {
    const Vec v = LoadN(x + c, n);
    Vec y = Mul(v, GateOf<kind>(v).value);
    if constexpr (IsGated(kind)) y = Mul(y, LoadN(x + width + c, n));
    StoreN(out + c, y, n);
  });
}

// d/dx (x gate(x)) = gate + x gate'
template <Activation kind, class T>
inline void ActivationBackwardRow(const T* x, const float* d_out, T* d_x, int64_t width) {
  ForVectors(0, width, [&](int64_t c, int64_t n) {
    const Vec v = LoadN(x + c, n);
    const Gate gate = GateOf<kind>(v);
    Vec d = LoadN(d_out + c, n);
    if constexpr (IsGated(kind)) {
      const Vec up = LoadN(x + width + c, n);
      StoreN(d_x + width + c, Mul(d, Mul(v, gate.value)), n);
      d = Mul(d, up);
    }
    StoreN(d_x + c, Mul(d, Fma(v, gate.slope, gate.value)), n);
  });
}

template <Activation kind>
inline void ActivationForwardOf(void* device, const ActivationArgs& args) {
  const int64_t width = args.out.cols;
  ForRows(device, args.out.rows, width * 2, [&](int64_t r) {
    const int64_t from = r * args.x.stride, to = r * args.out.stride;
    if (args.x.dtype == DType::kF32)
      ActivationRow<kind>(args.x.f32() + from, args.out.f32() + to, width);
    else
      ActivationRow<kind>(args.x.bf16() + from, args.out.bf16() + to, width);
  });
}

template <Activation kind>
inline void ActivationBackwardOf(void* device, const ActivationBackwardArgs& args) {
  const int64_t width = args.d_out.cols;
  ForRows(device, args.d_out.rows, width * 2, [&](int64_t r) {
    const int64_t from = r * args.x.stride, to = r * args.d_x.stride;
    const float* d_out = args.d_out.f32() + r * args.d_out.stride;
    if (args.x.dtype == DType::kF32)
      ActivationBackwardRow<kind>(args.x.f32() + from, d_out, args.d_x.f32() + to, width);
    else
      ActivationBackwardRow<kind>(args.x.bf16() + from, d_out, args.d_x.bf16() + to, width);
  });
}

inline void ActivationForward(void* device, const ActivationArgs& args) {
  switch (args.kind) {
    case Activation::kSiluGated:
      return ActivationForwardOf<Activation::kSiluGated>(device, args);
    case Activation::kGeluTanh:
      return ActivationForwardOf<Activation::kGeluTanh>(device, args);
    case Activation::kGeluErf:
      return ActivationForwardOf<Activation::kGeluErf>(device, args);
    case Activation::kGeluTanhGated:
      return ActivationForwardOf<Activation::kGeluTanhGated>(device, args);
  }
}

inline void ActivationBackward(void* device, const ActivationBackwardArgs& args) {
  switch (args.kind) {
    case Activation::kSiluGated:
      return ActivationBackwardOf<Activation::kSiluGated>(device, args);
    case Activation::kGeluTanh:
      return ActivationBackwardOf<Activation::kGeluTanh>(device, args);
    case Activation::kGeluErf:
      return ActivationBackwardOf<Activation::kGeluErf>(device, args);
    case Activation::kGeluTanhGated:
      return ActivationBackwardOf<Activation::kGeluTanhGated>(device, args);
  }
}

}  // namespace
}  // namespace alignlab
