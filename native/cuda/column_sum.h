// Sums of the columns of a matrix in one fixed order, the second stage of sums over tokens: the
// first leaves sums over parts of the tokens, whose borders depend on their number alone.
#pragma once

#include "cuda/launch.h"

namespace alignlab::cuda {

constexpr int kSumColumns = 32, kSumLanes = 8;

// Of a block of kSumColumns x kSumLanes threads, thread (column, lane) brings the sum over some of
// the rows; lane 0 gets the sum over the lanes, in a tree. `shared`: a float for each thread.
__device__ inline float SumOverLanes(float* shared, int column, int lane, float sum) {
  shared[lane * kSumColumns + column] = sum;
  for (int half = kSumLanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half)
      shared[lane * kSumColumns + column] += shared[(lane + half) * kSumColumns + column];
  }
  const float all = shared[column];
  __syncthreads();  // before the next sum is left there
  return all;
}

// to[c] += sum_r from[r * stride + c].
static __global__ void AddColumnSumsKernel(const float* from, int64_t rows, int64_t cols,
                                           int64_t stride, float* to) {
  __shared__ float shared[kSumColumns * kSumLanes];
  const int column = int(threadIdx.x) % kSumColumns, lane = int(threadIdx.x) / kSumColumns;
  const int64_t c = int64_t(blockIdx.x) * kSumColumns + column;
  float sum = 0;
  if (c < cols)
    for (int64_t r = lane; r < rows; r += kSumLanes) sum += from[r * stride + c];
  sum = SumOverLanes(shared, column, lane, sum);
  if (c < cols && lane == 0) to[c] += sum;
}

inline void AddColumnSums(Device& device, const float* from, int64_t rows, int64_t cols,
                          int64_t stride, float* to) {
  Launch(device, AddColumnSumsKernel, {CeilDiv(cols, kSumColumns)}, kSumColumns * kSumLanes, 0,
         from, rows, cols, stride, to);
}

}  // namespace alignlab::cuda
