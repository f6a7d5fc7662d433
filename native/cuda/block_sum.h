// Reductions over the threads of a block, in one fixed tree.
#pragma once

#include "cuda/simt.h"

namespace alignlab::cuda {

constexpr int kSumThreads = 256;  // of a block that calls these

// `shared`: a T for each thread. Every thread has the result.
template <class T, class Join>
__device__ inline T ReduceOverBlock(T* shared, T x, const Join& join) {
  const int thread = int(threadIdx.x);
  shared[thread] = x;
  for (int half = kSumThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) shared[thread] = join(shared[thread], shared[thread + half]);
  }
  __syncthreads();
  const T all = shared[0];
  __syncthreads();  // before the next one is left there
  return all;
}
__device__ inline double SumOverBlock(double* shared, double x) {
  return ReduceOverBlock(shared, x, [](double a, double b) { return a + b; });
}
__device__ inline double MaxOverBlock(double* shared, double x) {
  return ReduceOverBlock(shared, x, [](double a, double b) { return a < b ? b : a; });
}

}  // namespace alignlab::cuda
