// Defines the products of linear.h for one type: included by a file for each, so that they compile
// side by side.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/kernels/hopper_product.h"

namespace alignlab::cuda {

// By cuBLASLt, where the device has it and it has the product.
template <Along kA, Along kB, class T>
bool MultiplyByCublas(Device& device, const Operands<T>& of, const StoreOutputs& to) {
  Cublas* cublas = device.cublas();
  if (!cublas) return false;
  const auto depth_of = [](const MatrixView<T>& x, Along along) {
    return along == Along::kDepth ? x.cols : x.rows;
  };
  // Terms that only one of the operands has are zero.
  const int64_t depth = std::min({of.depth, depth_of(of.a, kA), depth_of(of.b, kB)});
  const auto outputs_of = [](const MatrixView<T>& x, Along along) {
    return along == Along::kDepth ? x.rows : x.cols;
  };
  if (outputs_of(of.a, kA) < of.m || outputs_of(of.b, kB) < of.n) return false;
  return cublas->Multiply({sizeof(T) == 4 ? DType::kF32 : DType::kBF16,
                           {of.a.data, of.a.stride, kA == Along::kDepth},
                           {of.b.data, of.b.stride, kB == Along::kDepth},
                           of.m,
                           of.n,
                           depth,
                           {to.to, to.bf16 ? DType::kBF16 : DType::kF32, of.m, of.n, to.stride},
                           to.bias,
                           to.accumulate},
                          device.Scratch<char>(Cublas::kWorkspaceBytes), device.stream());
}

template <Along kA, Along kB, class T>
void Multiply(Device& device, const Operands<T>& of, const StoreOutputs& to) {
  if (MultiplyByCublas<kA, kB>(device, of, to)) return;
  if constexpr (std::is_same_v<T, uint16_t>)
    if (MultiplyByHopper<kA, kB>(device, of, to)) return;
  MultiplyByTiles<kA, kB>(device, of, to);
}

template <class T>
void ForwardProduct(Device& device, const Operands<T>& of, const StoreOutputs& to) {
  Multiply<Along::kDepth, Along::kDepth>(device, of, to);
}
template <class T>
void InputGradProduct(Device& device, const Operands<T>& of, const StoreOutputs& to) {
  Multiply<Along::kDepth, Along::kOutput>(device, of, to);
}
template <class T>
void WeightGradProduct(Device& device, const Operands<T>& of, const StoreOutputs& to) {
  Multiply<Along::kOutput, Along::kOutput>(device, of, to);
}

}  // namespace alignlab::cuda
