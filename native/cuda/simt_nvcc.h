// simt.h for nvcc: instructions that C++ has no word for.
#pragma once

#include <cuda_runtime.h>

namespace alignlab::cuda {

// Before a loop over registers: without it nvcc may index them in local memory.
#define ALIGNLAB_UNROLL _Pragma("unroll")
// Before a loop whose addresses would cost registers that the code around it needs.
#define ALIGNLAB_KEEP_LOOP _Pragma("unroll 1")

constexpr uint32_t kAllLanes = 0xffffffff;

__device__ __forceinline__ char* DynamicShared() {
  extern __shared__ __align__(1024) char alignlab_dynamic_shared[];
  return alignlab_dynamic_shared;
}

template <class T>
__device__ __forceinline__ T ShuffleXor(T x, int mask) {
  return __shfl_xor_sync(kAllLanes, x, mask);
}
template <class T>
__device__ __forceinline__ T Shuffle(T x, int lane) {
  return __shfl_sync(kAllLanes, x, lane);
}
__device__ __forceinline__ uint32_t Ballot(bool x) { return __ballot_sync(kAllLanes, x); }
__device__ __forceinline__ void SyncWarp() { __syncwarp(); }

// The same functions in every kernel: bits must not depend on which one computes them. No
// -use_fast_math, contraction off: only Fma is one rounding.
__device__ __forceinline__ float Fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ __forceinline__ float Exp(float x) { return expf(x); }
__device__ __forceinline__ float Exp2(float x) { return exp2f(x); }
// To 2 units in the last place, one instruction; 0 where the result is below 2^-126.
__device__ __forceinline__ float Exp2Quick(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float Log(float x) { return logf(x); }
__device__ __forceinline__ double Log(double x) { return log(x); }
__device__ __forceinline__ double Exp(double x) { return exp(x); }
__device__ __forceinline__ double Log1p(double x) { return log1p(x); }
// Sine and cosine of pi x.
__device__ __forceinline__ void SinCosPi(float x, float* sine, float* cosine) {
  sincospif(x, sine, cosine);
}
__device__ __forceinline__ float Tanh(float x) { return tanhf(x); }
__device__ __forceinline__ float Erfc(float x) { return erfcf(x); }
__device__ __forceinline__ float Sqrt(float x) { return __fsqrt_rn(x); }
__device__ __forceinline__ float Divide(float a, float b) { return __fdiv_rn(a, b); }
__device__ __forceinline__ float Max(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ float Min(float a, float b) { return fminf(a, b); }

// Integers only: their sums do not depend on the order. In two halves, because shared memory adds
// 32 bits at once and 64 only by trying until nobody came between; whoever makes the low half
// wrap around carries.
__device__ __forceinline__ void AtomicAdd(uint64_t* to, uint64_t x) {
  uint32_t* half = reinterpret_cast<uint32_t*>(to);
  const uint32_t low = uint32_t(x), before = atomicAdd(half, low);
  const uint32_t high = uint32_t(x >> 32) + (before + low < low);
  if (high != 0) atomicAdd(half + 1, high);
}

// To nearest, ties to even, as Bf16OfFloat rounds.
__device__ __forceinline__ uint32_t ConvertToBf16Pair(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

__device__ __forceinline__ uint32_t SharedAddress(const void* p) {
  return uint32_t(__cvta_generic_to_shared(p));
}

// 16 bytes from global to shared memory, or zeros when not `valid`; both 16-byte aligned.
__device__ __forceinline__ void CopyAsync16(void* shared, const void* global, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(SharedAddress(shared)),
               "l"(global), "r"(valid ? 16 : 0));
}
// What was copied since the last call is one group; WaitAsync<N> waits until at most the newest N
// groups of this thread are under way. __syncthreads() then shows them to the other threads.
__device__ __forceinline__ void CommitAsync() { asm volatile("cp.async.commit_group;\n" ::); }
template <int N>
__device__ __forceinline__ void WaitAsync() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(N));
}

// Four 8 x 8 tiles of 16-bit elements: lane i gives the address of row i % 8 of tile i / 8 (16
// bytes, aligned); in r[j] it gets elements (l / 4, 2 (l % 4) and the next) of tile j, l its
// number.
__device__ __forceinline__ void LoadMatrix4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(SharedAddress(row)));
}
// The same of the transposed tiles: elements (2 (l % 4) and the next, l / 4).
__device__ __forceinline__ void LoadMatrix4Transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(SharedAddress(row)));
}

// D (16 x 8, f32) += A (16 x 16, bf16) B (16 x 8, bf16). With g = lane / 4, t = lane % 4:
//   a[0], a[1]: rows g and g + 8, columns 2t, 2t + 1;  a[2], a[3]: the same rows, columns + 8
//   b[0]: rows 2t, 2t + 1 of column g;  b[1]: rows + 8
//   d[0], d[1]: row g, columns 2t, 2t + 1;  d[2], d[3]: row g + 8
__device__ __forceinline__ void MmaBf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                        uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace alignlab::cuda
