// What the kernels of the control learners' losses share. What sums over a batch is one block:
// batches have some hundred rows, and a second launch would cost more than it saves.
#pragma once

#include "cuda/block_sum.h"
#include "cuda/joined.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int kThreads = kSumThreads;

__device__ inline int64_t ThreadOfGrid() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }

__device__ inline float* RowOf(const Tensor& t, int64_t r) {
  return static_cast<float*>(t.data) + r * t.stride;
}

// Comparisons that let NaN through.
template <class T>
__device__ inline T Clamp(T x, T low, T high) {
  return x < low ? low : high < x ? high : x;
}
__device__ inline double Magnitude(double x) { return x < 0 ? -x : x; }
__device__ inline double SoftplusOf(double x) {
  return (x < 0 ? 0.0 : x) + Log1p(Exp(-Magnitude(x)));
}
__device__ inline double SigmoidOf(double x) { return 1 / (1 + Exp(-x)); }

// body(r) for this thread's rows; the sum of what it returns, which every thread has.
template <class Body>
__device__ inline double SumOverRows(double* shared, int64_t rows, const Body& body) {
  double sum = 0;
  for (int64_t r = threadIdx.x; r < rows; r += kThreads) sum += body(r);
  return SumOverBlock(shared, sum);
}

// Body by one block.
template <class Body>
void OneBlock(void* device, const typename Body::Args& args) {
  const Operation op(device);
  LaunchBody<Body>(op.device(), {1}, 0, args);
}

}  // namespace

}  // namespace alignlab::cuda
