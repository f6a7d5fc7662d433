// The products of linear.cu for other operations.
#pragma once

#include "cuda/kernels/tile_product.h"

namespace alignlab::cuda {

// Writes an output, with a bias and what is there already.
struct StoreOutputs {
  void* to;
  int64_t stride;
  const float* bias;  // or null
  bool bf16, accumulate;
  bool pairs;  // whether two neighbours from an even column on are aligned

  StoreOutputs(const Tensor& y, const float* bias, bool accumulate)
      : to(y.data),
        stride(y.stride),
        bias(bias),
        bf16(y.dtype == DType::kBF16),
        accumulate(accumulate),
        pairs(y.stride % 2 == 0 &&
              reinterpret_cast<uintptr_t>(y.data) % (2 * SizeOf(y.dtype)) == 0) {}

  struct OutputRow {
    const StoreOutputs& store;
    int64_t at;

    __device__ __forceinline__ float Biased(int64_t col, float x) const {
      return store.bias ? x + store.bias[col] : x;
    }
    __device__ __forceinline__ void One(int64_t col, float x) const {
      x = Biased(col, x);
      if (store.bf16) {
        uint16_t* y = static_cast<uint16_t*>(store.to) + at + col;
        *y = Bf16OfFloat(store.accumulate ? x + FloatOfBf16(*y) : x);
      } else {
        float* y = static_cast<float*>(store.to) + at + col;
        *y = store.accumulate ? x + *y : x;
      }
    }
    __device__ __forceinline__ void Pair(int64_t col, float x, float y) const {
      if (!store.pairs || (store.accumulate && store.bf16)) {
        One(col, x);
        One(col + 1, y);
        return;
      }
      x = Biased(col, x);
      y = Biased(col + 1, y);
      if (store.bf16) {
        *reinterpret_cast<uint32_t*>(static_cast<uint16_t*>(store.to) + at + col) = PackBf16(x, y);
        return;
      }
      auto* pair = reinterpret_cast<float2*>(static_cast<float*>(store.to) + at + col);
      if (store.accumulate) {
        const float2 before = *pair;
        x += before.x;
        y += before.y;
      }
      *pair = {x, y};
    }
  };
  __device__ __forceinline__ OutputRow Row(int64_t row) const { return {*this, row * stride}; }
};

template <class T>
MatrixView<T> ViewOf(const Tensor& t) {
  return {static_cast<const T*>(t.data), t.rows, t.cols, t.stride};
}
template <class T>
MatrixView<T> ViewOf(const Weight& w) {
  return {static_cast<const T*>(w.data), w.out, w.in, WeightElements(w.dtype, 1, w.in, 1)};
}

// The three products, for float and uint16_t (bf16). Sums run over the whole depth, ascending.
//   Forward:    a (m, depth), b (n, depth)        x W^T
//   InputGrad:  a (m, depth), b (depth, n)        d_y W
//   WeightGrad: a (depth, m), b (depth, n)        d_y^T x
template <class T>
void ForwardProduct(Device& device, const Operands<T>& of, const StoreOutputs& to);
template <class T>
void InputGradProduct(Device& device, const Operands<T>& of, const StoreOutputs& to);
template <class T>
void WeightGradProduct(Device& device, const Operands<T>& of, const StoreOutputs& to);

}  // namespace alignlab::cuda
