// The products of linear.cu for other operations.
#pragma once

#include "cuda/kernels/tile_product.h"

namespace alignlab::cuda {

// Whether two neighbours from an even column on are aligned.
inline bool InPairs(const Tensor& t) {
  return t.stride % 2 == 0 && reinterpret_cast<uintptr_t>(t.data) % (2 * SizeOf(t.dtype)) == 0;
}

// Writes an output, with a bias and what is there already.
struct StoreOutputs {
  static constexpr bool kInEnsembles = true;
  void* to;
  int64_t stride;
  const float* bias;      // or null
  bool bf16, accumulate;  // accumulate: f32 only
  bool pairs;             // InPairs

  StoreOutputs(const Tensor& y, const float* bias, bool accumulate)
      : to(y.data),
        stride(y.stride),
        bias(bias),
        bf16(y.dtype == DType::kBF16),
        accumulate(accumulate),
        pairs(InPairs(y)) {}

  struct OutputRow {
    static constexpr int kAhead = 16;
    struct Held {
      float2 bias, before;
    };
    const StoreOutputs& store;
    int64_t at;

    __device__ __forceinline__ float* F32(int64_t col) const {
      return static_cast<float*>(store.to) + at + col;
    }
    __device__ __forceinline__ uint16_t* Bf16(int64_t col) const {
      return static_cast<uint16_t*>(store.to) + at + col;
    }
    __device__ __forceinline__ float Sum(float x, float bias, float before) const {
      if (store.bias) x += bias;
      return store.accumulate ? x + before : x;
    }
    __device__ __forceinline__ void One(int64_t col, float x) const {
      const float sum = Sum(x, store.bias ? store.bias[col] : 0, store.accumulate ? *F32(col) : 0);
      if (store.bf16)
        *Bf16(col) = Bf16OfFloat(sum);
      else
        *F32(col) = sum;
    }
    __device__ __forceinline__ Held Read(int64_t col) const {
      Held held = {};
      if (store.bias) held.bias = {store.bias[col], store.bias[col + 1]};
      if (store.accumulate) held.before = *reinterpret_cast<const float2*>(F32(col));
      return held;
    }
    __device__ __forceinline__ void Pair(int64_t col, float2 sums, const Held& held) const {
      const float x = Sum(sums.x, held.bias.x, held.before.x);
      const float y = Sum(sums.y, held.bias.y, held.before.y);
      if (store.bf16)
        *reinterpret_cast<uint32_t*>(Bf16(col)) = PackBf16(x, y);
      else
        *reinterpret_cast<float2*>(F32(col)) = {x, y};
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
