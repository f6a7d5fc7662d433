// The words that device code is written in. Under nvcc they are CUDA's own and a few instructions
// by name; under any other compiler the same sources run on the CPU, where tests compare them with
// native/reference/ on machines that have no GPU (emulation/simt.h says how).
//
// A warp is 32 lanes; what is called by a warp must be called by all of its lanes.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#include "cuda/simt_nvcc.h"
#else
#include "cuda/emulation/simt.h"
#endif

namespace alignlab::cuda {

constexpr int kWarp = 32;
constexpr float kInfinity = __builtin_huge_valf();

__host__ __device__ constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

__host__ __device__ inline float FloatOfBits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return __builtin_bit_cast(float, bits);
#endif
}
__host__ __device__ inline uint32_t BitsOfFloat(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  return __builtin_bit_cast(uint32_t, x);
#endif
}

__host__ __device__ inline float FloatOfBf16(uint16_t h) { return FloatOfBits(uint32_t(h) << 16); }

// To nearest, ties to even; NaN stays NaN.
__host__ __device__ inline uint16_t Bf16OfFloat(float x) {
  const uint32_t bits = BitsOfFloat(x);
  if (x != x) return uint16_t((bits >> 16) | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
// Two neighbours as the tensor cores read them: the first in the low half.
__host__ __device__ inline uint32_t PackBf16(float low, float high) {
#if defined(__CUDA_ARCH__)
  return ConvertToBf16Pair(low, high);
#else
  return uint32_t(Bf16OfFloat(low)) | uint32_t(Bf16OfFloat(high)) << 16;
#endif
}

__host__ __device__ inline float LowBf16(uint32_t pair) { return FloatOfBits(pair << 16); }
__host__ __device__ inline float HighBf16(uint32_t pair) { return FloatOfBits(pair & 0xffff0000u); }

// An element of a tensor of either compute type, as f32.
__device__ inline float LoadElement(const float* x) { return *x; }
__device__ inline float LoadElement(const uint16_t* x) { return FloatOfBf16(*x); }
__device__ inline void StoreElement(float* to, float x) { *to = x; }
__device__ inline void StoreElement(uint16_t* to, float x) { *to = Bf16OfFloat(x); }

// Sum and maximum over a warp in one fixed tree; every lane has the result.
__device__ inline float WarpSum(float x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += ShuffleXor(x, mask);
  return x;
}
__device__ inline float WarpMax(float x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x = Max(x, ShuffleXor(x, mask));
  return x;
}

}  // namespace alignlab::cuda
