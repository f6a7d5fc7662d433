// Norm, NormBackward. A row of up to kWarpColumns columns belongs to a warp, a longer one to a
// block; each lane sums its columns in four chains, then lanes are summed in a tree. Variance is
// taken about the mean, in a second pass over a row that the first one left in L1.
#include "cuda/column_sum.h"
#include "cuda/columns.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int64_t kWarpColumns = 2048;
constexpr int kWarpsOfBlock = 4;  // where each has a row of its own
constexpr int kWarpsOfLongRow = 8;

// The threads that share a row, kWarps warps of them.
template <int kWarps>
struct RowThreads {
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kRowsOfBlock = kWarps == 1 ? kWarpsOfBlock : 1;
  static constexpr int kBlock = kThreads * kRowsOfBlock;

  int64_t row, cols;
  int thread;
  float* shared;  // a float for each warp, kWarps > 1

  __device__ RowThreads(int64_t columns, float* sums)
      : row(int64_t(blockIdx.x) * kRowsOfBlock + threadIdx.x / kThreads),
        cols(columns),
        thread(int(threadIdx.x) % kThreads),
        shared(sums) {}

  // body(first of four columns, how many are left), for each four of this thread, ascending.
  template <class Body>
  __device__ void Each(const Body& body) const {
    for (int64_t c = 4 * thread; c < cols; c += 4 * kThreads) body(c, cols - c);
  }
  // Every thread has the sum over all columns of body(column, left, i), which is 0 past the last.
  template <class Body>
  __device__ float Sum(const Body& body) const {
    Four sum = {};
    Each([&](int64_t c, int64_t left) {
      const Four terms = body(c, left);
      for (int i = 0; i < 4; ++i) sum.v[i] += terms.v[i];
    });
    float all = WarpSum((sum.v[0] + sum.v[1]) + (sum.v[2] + sum.v[3]));
    if constexpr (kWarps > 1) {
      if (thread % kWarp == 0) shared[thread / kWarp] = all;
      __syncthreads();
      all = 0;
      for (int warp = 0; warp < kWarps; ++warp) all += shared[warp];
      __syncthreads();  // before the next sum is left there
    }
    return all;
  }
};

struct NormView {
  const float* x;
  int64_t x_stride, rows, cols;
  const float* weight;
  const float* bias;  // null: none
  float eps;
  float* stats;  // null: not wanted
};

template <bool kLayer, int kWarps, bool kWide, class T>
__global__ void NormRows(NormView args, T* out, int64_t out_stride) {
  __shared__ float sums[kWarps];
  const RowThreads<kWarps> threads(args.cols, sums);
  if (threads.row >= args.rows) return;
  const float* x = args.x + threads.row * args.x_stride;
  T* y = out + threads.row * out_stride;
  const float cols = float(args.cols);
  float mean = 0;
  if constexpr (kLayer)
    mean = Divide(
        threads.Sum([&](int64_t c, int64_t left) { return LoadFour<kWide>(x + c, left); }), cols);
  const float squares = threads.Sum([&](int64_t c, int64_t left) {
    Four four = LoadFour<kWide>(x + c, left);
    for (int i = 0; i < 4; ++i) {
      const float centred = kWide || i < left ? four.v[i] - mean : 0.0f;
      four.v[i] = centred * centred;
    }
    return four;
  });
  const float rstd = Divide(1.0f, Sqrt(Divide(squares, cols) + args.eps));
  threads.Each([&](int64_t c, int64_t left) {
    Four four = LoadFour<kWide>(x + c, left), bias = {};
    const Four weight = LoadFour<kWide>(args.weight + c, left);
    if (kLayer && args.bias) bias = LoadFour<kWide>(args.bias + c, left);
    for (int i = 0; i < 4; ++i) {
      const float normal = (four.v[i] - mean) * rstd;
      four.v[i] = kLayer ? Fma(normal, weight.v[i], bias.v[i]) : normal * weight.v[i];
    }
    StoreFour<kWide>(y + c, left, four);
  });
  if (args.stats && threads.thread == 0) {
    args.stats[2 * threads.row] = mean;
    args.stats[2 * threads.row + 1] = rstd;
  }
}

struct NormBackwardView {
  const float* d_y;
  const float* x;
  const float* weight;
  const float* stats;
  float* d_x;
  int64_t d_y_stride, x_stride, d_x_stride, rows, cols;
};

// n = (x - mean) rstd, g = d_y weight:  d_x += rstd (g - [layer] mean(g) - n mean(g n)).
template <bool kLayer, int kWarps, bool kWide>
__global__ void NormInputGrad(NormBackwardView args) {
  __shared__ float sums[kWarps];
  const RowThreads<kWarps> threads(args.cols, sums);
  if (threads.row >= args.rows) return;
  const float* x = args.x + threads.row * args.x_stride;
  const float* d_y = args.d_y + threads.row * args.d_y_stride;
  float* d_x = args.d_x + threads.row * args.d_x_stride;
  const float mean = args.stats[2 * threads.row], rstd = args.stats[2 * threads.row + 1];
  const float cols = float(args.cols);
  // Past the last column d_y is 0, and so is g.
  const auto slope = [&](int64_t c, int64_t left) {
    Four g = LoadFour<kWide>(d_y + c, left);
    const Four weight = LoadFour<kWide>(args.weight + c, left);
    for (int i = 0; i < 4; ++i) g.v[i] *= weight.v[i];
    return g;
  };
  const auto normal = [&](int64_t c, int64_t left) {
    Four n = LoadFour<kWide>(x + c, left);
    for (int i = 0; i < 4; ++i) n.v[i] = (n.v[i] - mean) * rstd;
    return n;
  };
  const float mean_g_n = Divide(threads.Sum([&](int64_t c, int64_t left) {
    Four g = slope(c, left);
    const Four n = normal(c, left);
    for (int i = 0; i < 4; ++i) g.v[i] *= n.v[i];
    return g;
  }),
                                cols);
  const float mean_g = kLayer ? Divide(threads.Sum(slope), cols) : 0.0f;
  threads.Each([&](int64_t c, int64_t left) {
    const Four g = slope(c, left), n = normal(c, left);
    Four d = LoadFour<kWide>(d_x + c, left);
    for (int i = 0; i < 4; ++i) d.v[i] = Fma(Fma(-n.v[i], mean_g_n, g.v[i] - mean_g), rstd, d.v[i]);
    StoreFour<kWide>(d_x + c, left, d);
  });
}

// Sums over `part` rows of d_y n, and of d_y when `biases`: parts[p, 0] and parts[p, 1], (cols)
// each. blockIdx.x: a tile of columns, blockIdx.y: p.
__global__ void NormParameterParts(NormBackwardView args, int64_t part, bool biases, float* parts) {
  __shared__ float shared[kSumColumns * kSumLanes];
  const int column = int(threadIdx.x) % kSumColumns, lane = int(threadIdx.x) / kSumColumns;
  const int64_t c = int64_t(blockIdx.x) * kSumColumns + column, p = blockIdx.y;
  const int64_t begin = p * part, end = begin + part < args.rows ? begin + part : args.rows;
  float weight = 0, bias = 0;
  if (c < args.cols)
    for (int64_t r = begin + lane; r < end; r += kSumLanes) {
      const float d_y = args.d_y[r * args.d_y_stride + c];
      const float x = args.x[r * args.x_stride + c];
      weight = Fma(d_y, (x - args.stats[2 * r]) * args.stats[2 * r + 1], weight);
      bias += d_y;
    }
  weight = SumOverLanes(shared, column, lane, weight);
  if (biases) bias = SumOverLanes(shared, column, lane, bias);
  if (c >= args.cols || lane > 0) return;
  parts[2 * p * args.cols + c] = weight;
  if (biases) parts[(2 * p + 1) * args.cols + c] = bias;
}

// Enough parts for all multiprocessors; more would only cost the second stage time.
constexpr int64_t kParts = 128, kLeastPart = 32;

void AddParameterGrads(Operation& op, const NormBackwardView& view, float* d_weight,
                       float* d_bias) {
  const int64_t share = CeilDiv(view.rows, kParts), part = share > kLeastPart ? share : kLeastPart;
  const int64_t count = CeilDiv(view.rows, part);
  if (count == 0) return;
  auto* parts = op->Scratch<float>(2 * count * view.cols);
  Launch(op.device(), NormParameterParts, {CeilDiv(view.cols, kSumColumns), count},
         kSumColumns * kSumLanes, 0, view, part, d_bias != nullptr, parts);
  AddColumnSums(op.device(), parts, count, view.cols, 2 * view.cols, d_weight);
  if (d_bias)
    AddColumnSums(op.device(), parts + view.cols, count, view.cols, 2 * view.cols, d_bias);
}

// body(whether it is a layer norm, how many warps a row has, whether fours lie together).
template <class Body>
void WithShape(NormKind kind, int64_t cols, bool wide, const Body& body) {
  const auto with_warps = [&](auto warps) {
    WithFlag(kind == NormKind::kLayer,
             [&](auto layer) { WithFlag(wide, [&](auto w) { body(layer, warps, w); }); });
  };
  if (cols <= kWarpColumns)
    with_warps(std::integral_constant<int, 1>());
  else
    with_warps(std::integral_constant<int, kWarpsOfLongRow>());
}

}  // namespace

void Norm(void* device, const NormArgs& args) {
  const Operation op(device);
  const NormView view{args.x.f32(), args.x.stride, args.x.rows, args.x.cols,
                      args.weight,  args.bias,     args.eps,    args.stats};
  const bool wide =
      IsWide(args.x) && IsWide(args.y) && IsWide(args.weight, 4) && IsWide(args.bias, 4);
  WithElements(args.y, [&](auto* y) {
    using T = std::remove_pointer_t<decltype(y)>;
    WithShape(args.kind, view.cols, wide, [&](auto layer, auto warps, auto w) {
      using Threads = RowThreads<warps()>;
      Launch(op.device(), NormRows<layer(), warps(), w(), T>,
             {CeilDiv(view.rows, Threads::kRowsOfBlock)}, Threads::kBlock, 0, view, y,
             args.y.stride);
    });
  });
}

void NormBackward(void* device, const NormBackwardArgs& args) {
  Operation op(device);
  const NormBackwardView view{args.d_y.f32(), args.x.f32(),    args.weight,   args.stats,
                              args.d_x.f32(), args.d_y.stride, args.x.stride, args.d_x.stride,
                              args.x.rows,    args.x.cols};
  const bool wide =
      IsWide(args.x) && IsWide(args.d_y) && IsWide(args.d_x) && IsWide(args.weight, 4);
  WithShape(args.kind, view.cols, wide, [&](auto layer, auto warps, auto w) {
    using Threads = RowThreads<warps()>;
    Launch(op.device(), NormInputGrad<layer(), warps(), w()>,
           {CeilDiv(view.rows, Threads::kRowsOfBlock)}, Threads::kBlock, 0, view);
  });
  if (args.d_weight) AddParameterGrads(op, view, args.d_weight, args.d_bias);
}

}  // namespace alignlab::cuda
