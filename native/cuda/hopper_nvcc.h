// hopper.h for nvcc. Its instructions exist for sm_90a alone.
#pragma once

#include <cuda.h>  // types only: nothing of libcuda is linked

#include "cuda/hopper_product_nvcc.h"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define ALIGNLAB_HOPPER 1
#else
#define ALIGNLAB_HOPPER 0
#endif

namespace alignlab::cuda {

using TensorMap = CUtensorMap;

// A barrier's phase ends when `arrivals` threads have arrived and as many bytes as were expected
// have come; phases are numbered from 0, and the parity of a phase is that of its number.
__device__ __forceinline__ void InitBarrier(uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(SharedAddress(barrier)),
               "r"(arrivals)
               : "memory");
}
// After barriers were made, before others use them: shows them to the TMA. __syncthreads() shows
// them to the threads.
__device__ __forceinline__ void PublishBarriers() {
  asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
}
__device__ __forceinline__ void Arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(SharedAddress(barrier))
               : "memory");
}
__device__ __forceinline__ void ArriveExpecting(uint64_t* barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(SharedAddress(barrier)),
      "r"(bytes)
      : "memory");
}
// Until the newest phase of this parity is over; that of parity 1 before phase 0 is over.
__device__ __forceinline__ void WaitBarrier(uint64_t* barrier, uint32_t parity) {
  uint32_t over;
  do {
    asm volatile(
        "{\n.reg .pred over;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
        "selp.u32 %0, 1, 0, over;\n}\n"
        : "=r"(over)
        : "r"(SharedAddress(barrier)), "r"(parity)
        : "memory");
  } while (!over);
}

// One thread starts the copy of the box whose first element is (row, col); the barrier gets its
// bytes, those outside of the matrix among them. `map` is a __grid_constant__ parameter.
__device__ __forceinline__ void CopyBox(char* shared, const TensorMap& map, int row, int col,
                                        uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];\n" ::"r"(SharedAddress(shared)),
      "l"(&map), "r"(col), "r"(row), "r"(SharedAddress(barrier))
      : "memory");
}

// The same of a map of BoxedHeads.
__device__ __forceinline__ void CopyHeads(char* shared, const TensorMap& map, int row, int head,
                                          int col, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];\n" ::"r"(SharedAddress(shared)),
      "l"(&map), "r"(col), "r"(head), "r"(row), "r"(SharedAddress(barrier))
      : "memory");
}

// x, which the compiler knows nothing of: what is computed from it is not kept across a loop.
__device__ __forceinline__ int Anew(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

// Registers of each thread of this warpgroup from here on: given back, or waited for.
template <int kRegisters>
__device__ __forceinline__ void KeepRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void TakeRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
}

}  // namespace alignlab::cuda
