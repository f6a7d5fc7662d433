// Convert, GatherRows, ScatterAddRows, Axpby.
#include <type_traits>

#include "cuda/launch.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int kThreads = 256;

// One block a row.
template <class From, class To>
__global__ void ConvertRows(const From* from, int64_t from_stride, To* to, int64_t to_stride,
                            int64_t cols) {
  const int64_t row = blockIdx.x;
  for (int64_t c = threadIdx.x; c < cols; c += kThreads)
    StoreElement(to + row * to_stride + c, LoadElement(from + row * from_stride + c));
}

__global__ void GatherKernel(const float* from, int64_t from_stride, const int64_t* rows, float* to,
                             int64_t to_stride, int64_t cols) {
  const int64_t row = blockIdx.x, source = rows[row];
  for (int64_t c = threadIdx.x; c < cols; c += kThreads)
    to[row * to_stride + c] = from[source * from_stride + c];
}

// A column a thread, rows ascending: several may go to one place, and their order decides the sum.
__global__ void ScatterAddKernel(const float* from, int64_t from_stride, const int64_t* rows,
                                 int64_t count, float* to, int64_t to_stride, int64_t cols) {
  const int64_t c = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (c >= cols) return;
  for (int64_t i = 0; i < count; ++i) to[rows[i] * to_stride + c] += from[i * from_stride + c];
}

__global__ void AxpbyKernel(float a, const float* x, float b, float* y, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) y[i] = b == 0 ? a * x[i] : a * x[i] + b * y[i];
}

}  // namespace

void Convert(void* device, Tensor src, Tensor dst) {
  const Operation op(device);
  const auto launch = [&](auto* from, auto* to) {
    Launch(op.device(),
           ConvertRows<std::remove_pointer_t<decltype(from)>, std::remove_pointer_t<decltype(to)>>,
           {src.rows}, kThreads, 0, from, src.stride, to, dst.stride, src.cols);
  };
  const auto with = [&](auto* from) {
    dst.dtype == DType::kF32 ? launch(from, dst.f32()) : launch(from, dst.bf16());
  };
  src.dtype == DType::kF32 ? with(src.f32()) : with(src.bf16());
}

void GatherRows(void* device, Tensor src, const int64_t* rows, Tensor dst) {
  const Operation op(device);
  Launch(op.device(), GatherKernel, {dst.rows}, kThreads, 0, src.f32(), src.stride,
         op->Stage(rows, dst.rows), dst.f32(), dst.stride, dst.cols);
}

void ScatterAddRows(void* device, Tensor src, const int64_t* rows, Tensor dst) {
  const Operation op(device);
  Launch(op.device(), ScatterAddKernel, {CeilDiv(src.cols, kThreads)}, kThreads, 0, src.f32(),
         src.stride, op->Stage(rows, src.rows), src.rows, dst.f32(), dst.stride, src.cols);
}

void Axpby(void* device, float a, const float* x, float b, float* y, int64_t n) {
  const Operation op(device);
  Launch(op.device(), AxpbyKernel, {CeilDiv(n, kThreads)}, kThreads, 0, a, x, b, y, n);
}

}  // namespace alignlab::cuda
