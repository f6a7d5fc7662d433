// Defines the products of linear.h for one type: included by a file for each, so that they compile
// side by side.
#pragma once

#include "cuda/kernels/linear.h"

namespace alignlab::cuda {

template <class T>
void ForwardProduct(Device& device, const Operands<T>& of, const StoreOutputs& to) {
  MultiplyByTiles<Along::kDepth, Along::kDepth>(device, of, to);
}
template <class T>
void InputGradProduct(Device& device, const Operands<T>& of, const StoreOutputs& to) {
  MultiplyByTiles<Along::kDepth, Along::kOutput>(device, of, to);
}
template <class T>
void WeightGradProduct(Device& device, const Operands<T>& of, const StoreOutputs& to) {
  MultiplyByTiles<Along::kOutput, Along::kOutput>(device, of, to);
}

}  // namespace alignlab::cuda
