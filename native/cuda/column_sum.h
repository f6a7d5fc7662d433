// Sums of the columns of a matrix in one fixed order, the second stage of sums over tokens: the
// first leaves sums over parts of the tokens, whose borders depend on their number alone.
#pragma once

#include "cuda/joined.h"

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
struct AddColumnSumsArgs {
  const float* from;
  int64_t rows, cols, stride;
  float* to;
};
struct AddColumnSumsBody : BodyOf<AddColumnSumsArgs, kSumColumns * kSumLanes> {
  __device__ static void Run(const Args& a) {
    __shared__ float shared[kSumColumns * kSumLanes];
    const int column = int(threadIdx.x) % kSumColumns, lane = int(threadIdx.x) / kSumColumns;
    const int64_t c = int64_t(blockIdx.x) * kSumColumns + column;
    float sum = 0;
    if (c < a.cols)
      for (int64_t r = lane; r < a.rows; r += kSumLanes) sum += a.from[r * a.stride + c];
    sum = SumOverLanes(shared, column, lane, sum);
    if (c < a.cols && lane == 0) a.to[c] += sum;
  }
};

inline void AddColumnSums(Device& device, const float* from, int64_t rows, int64_t cols,
                          int64_t stride, float* to) {
  LaunchBody<AddColumnSumsBody>(device, {CeilDiv(cols, kSumColumns)}, 0,
                                {from, rows, cols, stride, to});
}

}  // namespace alignlab::cuda
