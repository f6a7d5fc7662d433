// Rows walked four columns at a time. Which thread has which columns, and so every order of
// summation, is the same whether the rows lie so that four elements move at once (kWide) or not.
#pragma once

#include <type_traits>

#include "cuda/launch.h"

namespace alignlab::cuda {

struct Four {
  float v[4];
};

// Up to four elements from `x` on, `left` of which exist; zeros stand for the others.
template <bool kWide>
__device__ inline Four LoadFour(const float* x, int64_t left) {
  if constexpr (kWide) {
    const float4 f = *reinterpret_cast<const float4*>(x);
    return {{f.x, f.y, f.z, f.w}};
  } else {
    Four four;
    for (int i = 0; i < 4; ++i) four.v[i] = i < left ? x[i] : 0.0f;
    return four;
  }
}
template <bool kWide>
__device__ inline Four LoadFour(const uint16_t* x, int64_t left) {
  if constexpr (kWide) {
    const uint2 pairs = *reinterpret_cast<const uint2*>(x);
    return {{LowBf16(pairs.x), HighBf16(pairs.x), LowBf16(pairs.y), HighBf16(pairs.y)}};
  } else {
    Four four;
    for (int i = 0; i < 4; ++i) four.v[i] = i < left ? FloatOfBf16(x[i]) : 0.0f;
    return four;
  }
}

template <bool kWide>
__device__ inline void StoreFour(float* to, int64_t left, const Four& four) {
  if constexpr (kWide) {
    *reinterpret_cast<float4*>(to) = {four.v[0], four.v[1], four.v[2], four.v[3]};
  } else {
    for (int i = 0; i < 4; ++i)
      if (i < left) to[i] = four.v[i];
  }
}
template <bool kWide>
__device__ inline void StoreFour(uint16_t* to, int64_t left, const Four& four) {
  if constexpr (kWide) {
    *reinterpret_cast<uint2*>(to) = {PackBf16(four.v[0], four.v[1]),
                                     PackBf16(four.v[2], four.v[3])};
  } else {
    for (int i = 0; i < 4; ++i)
      if (i < left) to[i] = Bf16OfFloat(four.v[i]);
  }
}

// Whether four elements from a multiple of four on lie together, in every row.
inline bool IsWide(const void* data, size_t element_bytes) {
  return reinterpret_cast<uintptr_t>(data) % (4 * element_bytes) == 0;
}
inline bool IsWide(const Tensor& t) {
  return IsWide(t.data, SizeOf(t.dtype)) && t.stride % 4 == 0 && t.cols % 4 == 0;
}

// A grid in which each thread has four successive columns of a row; a block has columns of one row.
struct RowGrid {
  static constexpr int kThreads = 256;
  int64_t rows, cols;
  uint32_t blocks_per_row;

  RowGrid(int64_t row_count, int64_t col_count)
      : rows(row_count),
        cols(col_count),
        blocks_per_row(uint32_t(CeilDiv(col_count, 4 * kThreads))) {}
  GridSize grid() const { return {rows * blocks_per_row}; }

  __device__ int64_t Row() const { return blockIdx.x / blocks_per_row; }
  __device__ int64_t Column() const {
    return (int64_t(blockIdx.x % blocks_per_row) * kThreads + threadIdx.x) * 4;
  }
};

// body(a typed pointer to the tensor's elements).
template <class Body>
void WithElements(const Tensor& t, const Body& body) {
  t.dtype == DType::kF32 ? body(t.f32()) : body(t.bf16());
}
// body(std::true_type or std::false_type).
template <class Body>
void WithFlag(bool flag, const Body& body) {
  flag ? body(std::true_type()) : body(std::false_type());
}

}  // namespace alignlab::cuda
