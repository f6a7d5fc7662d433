// Linear, LinearInputGrad, LinearWeightGrad.
#include "cuda/column_sum.h"
#include "cuda/kernels/linear.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int kThreads = 128;
// Rows that one thread adds up: a constant, since it decides how a column's sum is grouped.
constexpr int64_t kRowsOfSum = 64;

// partial[chunk][col]: the sum of the chunk's rows, ascending.
template <class T>
struct ColumnSums {
  const T* x;
  int64_t stride, rows, cols;
  float* partial;
};
template <class T>
struct ColumnSumsBody : BodyOf<ColumnSums<T>, kThreads> {
  __device__ static void Run(const ColumnSums<T>& a) {
    const int64_t c = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (c >= a.cols) return;
    const int64_t first = blockIdx.y * kRowsOfSum;
    const int64_t end = first + kRowsOfSum < a.rows ? first + kRowsOfSum : a.rows;
    float sum = 0;
    for (int64_t r = first; r < end; ++r) sum += LoadElement(a.x + r * a.stride + c);
    a.partial[blockIdx.y * a.cols + c] = sum;
  }
};

template <class T>
void AddBiasGrad(Device& device, const Tensor& x, float* to) {
  const int64_t blocks = CeilDiv(x.cols, kThreads), chunks = CeilDiv(x.rows, kRowsOfSum);
  float* partial = device.Scratch<float>(chunks * x.cols);
  LaunchBody<ColumnSumsBody<T>>(device, {blocks, chunks}, 0,
                                {static_cast<const T*>(x.data), x.stride, x.rows, x.cols, partial});
  AddColumnSums(device, partial, chunks, x.cols, x.cols, to);
}

template <class T>
void WeightGrad(Device& device, const LinearWeightGradArgs& args) {
  const Weight& w = args.d_weight;
  const Tensor to{w.data, DType::kF32, w.out, w.in, w.in};
  WeightGradProduct<T>(device, {ViewOf<T>(args.d_y), ViewOf<T>(args.x), w.out, w.in, args.x.rows},
                       {to, nullptr, true});
  if (args.d_bias) AddBiasGrad<T>(device, args.d_y, args.d_bias);
}

// body(T()) with the type of the elements.
template <class Body>
void WithType(DType dtype, const Body& body) {
  dtype == DType::kF32 ? body(float()) : body(uint16_t());
}

}  // namespace

void Linear(void* device, const LinearArgs& args) {
  const Operation op(device);
  const Weight& w = args.weight;
  WithType(w.dtype, [&](auto type) {
    using T = decltype(type);
    ForwardProduct<T>(op.device(), {ViewOf<T>(args.x), ViewOf<T>(w), args.x.rows, w.out, w.in},
                      {args.y, args.bias, args.accumulate});
  });
}

void LinearInputGrad(void* device, const LinearInputGradArgs& args) {
  const Operation op(device);
  const Weight& w = args.weight;
  WithType(w.dtype, [&](auto type) {
    using T = decltype(type);
    InputGradProduct<T>(op.device(),
                        {ViewOf<T>(args.d_y), ViewOf<T>(w), args.d_y.rows, w.in, w.out},
                        {args.d_x, nullptr, args.accumulate});
  });
}

void LinearWeightGrad(void* device, const LinearWeightGradArgs& args) {
  if (args.x.rows == 0) return;
  const Operation op(device);
  WithType(args.x.dtype, [&](auto type) { WeightGrad<decltype(type)>(op.device(), args); });
}

}  // namespace alignlab::cuda
