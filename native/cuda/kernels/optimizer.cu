// AdamW, AdamWSplit, SplitWeights, JoinWeights, SumSquares. Four parameters a thread.
#include "cuda/block_sum.h"
#include "cuda/columns.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

struct AdamWUpdate {
  float scale, rate, decay, beta1, rest1, beta2, rest2, correct1, correct2, eps;

  explicit AdamWUpdate(const AdamWArgs& a)
      : scale(a.grad_scale),
        rate(-a.lr),
        decay(a.weight_decay),
        beta1(a.beta1),
        rest1(1.0f - a.beta1),
        beta2(a.beta2),
        rest2(1.0f - a.beta2),
        correct1(1.0f / a.bias1),
        correct2(1.0f / a.bias2),
        eps(a.eps) {}

  // The new weight; m and v are stepped, too.
  __device__ float Weight(float w, float gradient, float& m, float& v) const {
    const float g = gradient * scale;
    m = Fma(beta1, m, rest1 * g);
    v = Fma(beta2, v, rest2 * (g * g));
    const float step = Divide(m * correct1, Sqrt(v * correct2) + eps);
    return Fma(rate, Fma(decay, w, step), w);
  }
};

// Gradient and moments of the parameters from element `at` on; the gradient becomes zero.
struct Moments {
  float* g;
  float* m;
  float* v;

  template <bool kWide>
  __device__ void Step(const AdamWUpdate& update, int64_t at, int64_t left, Four& w) const {
    const Four gradient = LoadFour<kWide>(g + at, left);
    Four first = LoadFour<kWide>(m + at, left), second = LoadFour<kWide>(v + at, left);
    for (int i = 0; i < 4; ++i)
      w.v[i] = update.Weight(w.v[i], gradient.v[i], first.v[i], second.v[i]);
    StoreFour<kWide>(g + at, left, Four{});
    StoreFour<kWide>(m + at, left, first);
    StoreFour<kWide>(v + at, left, second);
  }
};

template <bool kWide>
__global__ void AdamWKernel(RowGrid at, AdamWUpdate update, Moments moments, float* weights) {
  const int64_t c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  Four w = LoadFour<kWide>(weights + c, left);
  moments.Step<kWide>(update, c, left, w);
  StoreFour<kWide>(weights + c, left, w);
}

// Where both forms of a weight follow one another without padding it is walked as one row.
struct SplitView {
  uint16_t* high;
  uint16_t* low;   // null: nothing is left over
  int64_t stride;  // of a row of high and of low

  template <bool kWide>
  __device__ Four Join(int64_t place, int64_t left) const {
    Four w = LoadFour<kWide>(high + place, left);
    if (!low) return w;
    // The bits of a signed number are those of an unsigned one here: loaded as bf16 they stand
    // in the upper half.
    const Four rest = LoadFour<kWide>(low + place, left);
    for (int i = 0; i < 4; ++i)
      w.v[i] = FloatOfBits(BitsOfFloat(w.v[i]) + uint32_t(int32_t(BitsOfFloat(rest.v[i])) >> 16));
    return w;
  }
  template <bool kWide>
  __device__ void Split(int64_t place, int64_t left, const Four& w) const {
    uint16_t top[4], rest[4];
    for (int i = 0; i < 4; ++i) {
      const uint32_t bits = BitsOfFloat(w.v[i]), rounded = (bits + 0x8000) >> 16;
      top[i] = uint16_t(rounded);
      rest[i] = uint16_t(bits - (rounded << 16));
    }
    StoreHalves<kWide>(high + place, left, top);
    if (low) StoreHalves<kWide>(low + place, left, rest);
  }
  // The padding at the end of a row of odd length is left as it is: memory begins as zeros.
  template <bool kWide>
  __device__ static void StoreHalves(uint16_t* to, int64_t left, const uint16_t (&x)[4]) {
    if constexpr (kWide) {
      *reinterpret_cast<uint2*>(to) = {x[0] | uint32_t(x[1]) << 16, x[2] | uint32_t(x[3]) << 16};
    } else {
      for (int i = 0; i < 4; ++i)
        if (i < left) to[i] = x[i];
    }
  }
};

template <bool kWide>
__global__ void AdamWSplitKernel(RowGrid at, AdamWUpdate update, Moments moments, SplitView view) {
  const int64_t row = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  const int64_t place = row * view.stride + c;
  Four w = view.Join<kWide>(place, left);
  moments.Step<kWide>(update, row * at.cols + c, left, w);
  view.Split<kWide>(place, left, w);
}

template <bool kWide>
__global__ void SplitKernel(RowGrid at, const float* flat, SplitView to) {
  const int64_t row = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  to.Split<kWide>(row * to.stride + c, left, LoadFour<kWide>(flat + row * at.cols + c, left));
}

template <bool kWide>
__global__ void JoinKernel(RowGrid at, SplitView from, float* flat) {
  const int64_t row = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  StoreFour<kWide>(flat + row * at.cols + c, left, from.Join<kWide>(row * from.stride + c, left));
}

// body(grid, view, whether fours lie together) for a weight of which there is something.
template <class Body>
void WithSplit(const SplitWeight& w, bool aligned, const Body& body) {
  const int64_t stride = w.panels ? WeightElements(DType::kBF16, 1, w.cols, 1) : w.cols;
  const bool whole = stride == w.cols;
  const RowGrid at(whole ? 1 : w.rows, whole ? w.rows * w.cols : w.cols);
  const bool wide = aligned && IsWide(w.high, 2) && IsWide(w.low, 2) && at.cols % 4 == 0 && whole;
  WithFlag(wide, [&](auto flag) { body(at, SplitView{w.high, w.low, stride}, flag); });
}

bool IsWide(const AdamWArgs& args) {
  return cuda::IsWide(args.g, 4) && cuda::IsWide(args.m, 4) && cuda::IsWide(args.v, 4);
}

template <bool kWide>
__global__ void SumSquaresOfParts(const float* x, int64_t n, int64_t part, double* sums) {
  __shared__ double shared[kSumThreads];
  const int64_t begin = int64_t(blockIdx.x) * part, end = begin + part < n ? begin + part : n;
  double sum[4] = {};
  for (int64_t i = begin + 4 * int64_t(threadIdx.x); i < end; i += 4 * kSumThreads) {
    const Four four = LoadFour<kWide>(x + i, end - i);
    for (int j = 0; j < 4; ++j) sum[j] += double(four.v[j]) * double(four.v[j]);
  }
  const double all = SumOverBlock(shared, (sum[0] + sum[1]) + (sum[2] + sum[3]));
  if (threadIdx.x == 0) sums[blockIdx.x] = all;
}

__global__ void SumParts(const double* sums, int64_t count, double* to) {
  __shared__ double shared[kSumThreads];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kSumThreads) sum += sums[i];
  const double all = SumOverBlock(shared, sum);
  if (threadIdx.x == 0) *to = all;
}

}  // namespace

void AdamW(void* device, const AdamWArgs& args) {
  const Operation op(device);
  const RowGrid at(1, args.n);
  const bool wide = IsWide(args) && IsWide(args.w, 4) && args.n % 4 == 0;
  WithFlag(wide, [&](auto flag) {
    Launch(op.device(), AdamWKernel<flag()>, at.grid(), RowGrid::kThreads, 0, at, AdamWUpdate(args),
           Moments{args.g, args.m, args.v}, args.w);
  });
}

void AdamWSplit(void* device, const AdamWArgs& args, SplitWeight weight) {
  const Operation op(device);
  WithSplit(weight, IsWide(args), [&](const RowGrid& at, const SplitView& view, auto wide) {
    Launch(op.device(), AdamWSplitKernel<wide()>, at.grid(), RowGrid::kThreads, 0, at,
           AdamWUpdate(args), Moments{args.g, args.m, args.v}, view);
  });
}

void SplitWeights(void* device, const float* flat, SplitWeight to) {
  const Operation op(device);
  WithSplit(to, IsWide(flat, 4), [&](const RowGrid& at, const SplitView& view, auto wide) {
    Launch(op.device(), SplitKernel<wide()>, at.grid(), RowGrid::kThreads, 0, at, flat, view);
  });
}

void JoinWeights(void* device, SplitWeight from, float* flat) {
  const Operation op(device);
  WithSplit(from, IsWide(flat, 4), [&](const RowGrid& at, const SplitView& view, auto wide) {
    Launch(op.device(), JoinKernel<wide()>, at.grid(), RowGrid::kThreads, 0, at, view, flat);
  });
}

double SumSquares(void* device, const float* x, int64_t n) {
  constexpr int64_t kParts = 1024, kLeastPart = 4 * kSumThreads;
  const Operation op(device);
  if (n == 0) return 0;
  const int64_t part = RoundUp(CeilDiv(n, kParts), kLeastPart), count = CeilDiv(n, part);
  auto* sums = op->Scratch<double>(count + 1);
  WithFlag(IsWide(x, 4) && n % 4 == 0, [&](auto wide) {
    Launch(op.device(), SumSquaresOfParts<wide()>, {count}, kSumThreads, 0, x, n, part, sums);
  });
  Launch(op.device(), SumParts, {1}, kSumThreads, 0, sums, count, sums + count);
  double sum = 0;
  op->CopyOut(&sum, sums + count, 1);
  return sum;
}

}  // namespace alignlab::cuda
