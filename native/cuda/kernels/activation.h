// The activations of one value. Each is x gate(x) with a gate in [0, 1] that keeps its relative
// accuracy in the far negative tail, where 1 + tanh or 1 + erf would cancel:
//   silu:       gate = sigmoid(x)
//   gelu tanh:  gate = (1 + tanh u) / 2 = sigmoid(2u),  u = sqrt(2/pi) (x + 0.044715 x^3)
//   gelu erf:   gate = erfc(-x / sqrt 2) / 2
#pragma once

#include <type_traits>

#include "backend/backend.h"
#include "cuda/simt.h"

namespace alignlab::cuda {

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

// `up` is read by gated activations only.
template <Activation kKind>
__device__ inline float Activated(float x, float up) {
  const float y = x * GateOf<kKind>(x).value;
  return kGated<kKind> ? y * up : y;
}

// d/dx (x gate(x)) = gate + x gate'
struct ActivationSlopes {
  float d_x, d_up;
};
template <Activation kKind>
__device__ inline ActivationSlopes ActivationGradient(float x, float up, float d_out) {
  const Gate gate = GateOf<kKind>(x);
  const float d = kGated<kKind> ? d_out * up : d_out;
  return {d * Fma(x, gate.slope, gate.value), d_out * (x * gate.value)};
}

// body(the kind as a constant).
template <class Body>
auto WithKind(Activation kind, const Body& body) {
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
  __builtin_unreachable();
}

}  // namespace alignlab::cuda
