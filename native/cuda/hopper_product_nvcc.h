// The product of a warpgroup for nvcc: PTX wants each accumulator by name.
#pragma once

#include "cuda/simt.h"

namespace alignlab::cuda {

// Before the first product of a group: registers that products read and write are as they should
// be.
__device__ __forceinline__ void OpenProducts() {
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}
// What was started since the last call is one group; WaitProducts<N> waits until at most the newest
// N groups are under way.
__device__ __forceinline__ void CommitProducts() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}
template <int N>
__device__ __forceinline__ void WaitProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(N) : "memory");
}
// After the wait: the compiler, which takes a product for done once it is started, reads the sums
// no earlier than here.
template <int kCount>
__device__ __forceinline__ void ReadProducts(float (&d)[kCount]) {
  ALIGNLAB_UNROLL
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

#define ALIGNLAB_SUMS8(i)                                                                     \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define ALIGNLAB_SUMS32(i) \
  ALIGNLAB_SUMS8(i), ALIGNLAB_SUMS8(i + 8), ALIGNLAB_SUMS8(i + 16), ALIGNLAB_SUMS8(i + 24)
#define ALIGNLAB_NAMES32                                                        \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, " \
  "%17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define ALIGNLAB_NAMES64                                                             \
  ALIGNLAB_NAMES32                                                                   \
  ", "                                                                               \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define ALIGNLAB_NAMES128                                                          \
  ALIGNLAB_NAMES64                                                                 \
  ", "                                                                             \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, "    \
  "%79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, "    \
  "%94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, " \
  "%108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, " \
  "%121, %122, %123, %124, %125, %126, %127"

// D (64 x kCols, f32) = A (64 x 16, bf16) B^T (kCols x 16, bf16), added to D when `add`; a and b
// are descriptors of hopper.h, kAcross: rows lie along the outputs. Thread t of the warpgroup has,
// with row = 16 (t / 32) + t % 32 / 4 and col = 2 (t % 4), in
//   d[4 j], d[4 j + 1]: (row, col + 8 j and the next);  d[4 j + 2], d[4 j + 3]: (row + 8, the same)
template <bool kAcrossA, bool kAcrossB>
__device__ __forceinline__ void MultiplyWarpgroup(float (&d)[32], uint64_t a, uint64_t b,
                                                  bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" ALIGNLAB_NAMES32
      "}, %32, %33, add, 1, 1, %35, %36;\n}\n"
      : ALIGNLAB_SUMS32(0)
      : "l"(a), "l"(b), "r"(int(add)), "n"(int(kAcrossA)), "n"(int(kAcrossB)));
}
template <bool kAcrossA, bool kAcrossB>
__device__ __forceinline__ void MultiplyWarpgroup(float (&d)[64], uint64_t a, uint64_t b,
                                                  bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" ALIGNLAB_NAMES64
      "}, %64, %65, add, 1, 1, %67, %68;\n}\n"
      : ALIGNLAB_SUMS32(0), ALIGNLAB_SUMS32(32)
      : "l"(a), "l"(b), "r"(int(add)), "n"(int(kAcrossA)), "n"(int(kAcrossB)));
}
template <bool kAcrossA, bool kAcrossB>
__device__ __forceinline__ void MultiplyWarpgroup(float (&d)[128], uint64_t a, uint64_t b,
                                                  bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" ALIGNLAB_NAMES128
      "}, %128, %129, add, 1, 1, %131, %132;\n}\n"
      : ALIGNLAB_SUMS32(0), ALIGNLAB_SUMS32(32), ALIGNLAB_SUMS32(64), ALIGNLAB_SUMS32(96)
      : "l"(a), "l"(b), "r"(int(add)), "n"(int(kAcrossA)), "n"(int(kAcrossB)));
}

// The same with A in registers, for kCols 64 and 128: with row as above and term = 2 (t % 4),
//   a[0]: (row, term and the next);  a[1]: (row + 8, the same);  a[2], a[3]: the same rows, term +
//   8
// They may not change before the product is done.
template <bool kAcrossB>
__device__ __forceinline__ void MultiplyWarpgroup(float (&d)[32], const uint32_t (&a)[4],
                                                  uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" ALIGNLAB_NAMES32
      "}, {%32, %33, %34, %35}, %36, add, 1, 1, %38;\n}\n"
      : ALIGNLAB_SUMS32(0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)), "n"(int(kAcrossB)));
}
template <bool kAcrossB>
__device__ __forceinline__ void MultiplyWarpgroup(float (&d)[64], const uint32_t (&a)[4],
                                                  uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" ALIGNLAB_NAMES64
      "}, {%64, %65, %66, %67}, %68, add, 1, 1, %70;\n}\n"
      : ALIGNLAB_SUMS32(0), ALIGNLAB_SUMS32(32)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)), "n"(int(kAcrossB)));
}

#undef ALIGNLAB_SUMS8
#undef ALIGNLAB_SUMS32
#undef ALIGNLAB_NAMES32
#undef ALIGNLAB_NAMES64
#undef ALIGNLAB_NAMES128

}  // namespace alignlab::cuda
