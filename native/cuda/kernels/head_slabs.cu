// HeadBackward and HeadKl: logits again, a slab of the vocabulary at a time.
#include "cuda/kernels/hopper_product_kernel.h"
#include "cuda/kernels/vocabulary_sums.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

// Columns of a slab decide how sums over the vocabulary are grouped, hence bits. Rows of a chunk
// bound the scratch memory; the weight's gradient is a sum of sums over chunks.
constexpr int64_t kGradRows = 8192, kGradColumns = 8192;
constexpr int64_t kKlRows = 2048, kKlColumns = 4096;

int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T>
MatrixView<T> RowsOf(MatrixView<T> of, int64_t first, int64_t rows) {
  of.data += first * of.stride;
  of.rows = rows;
  return of;
}

// Turns the logits of a slab into their gradients: dz of backend.h, and 0 past the vocabulary.
template <class T>
struct StoreLogitGrads {
  [[maybe_unused]] static constexpr bool pairs = true;
  T* to;                   // (rows, stride), stride even
  int64_t stride, first;   // first: the slab's first column
  int64_t cols;            // of the slab
  const int32_t* targets;  // or null
  const float* d_logprob;  // all four from the chunk's first row on
  const float* d_entropy;  // or null
  const float *lse, *entropy;

  struct OutputRow {
    [[maybe_unused]] static constexpr int kAhead = 8;
    struct Held {};
    T* to;
    int64_t cols, target;  // target: in the slab, or outside of it
    float lse, of_logprob, of_entropy, entropy;

    __device__ __forceinline__ float Grad(int64_t col, float z) const {
      if (col >= cols) return 0;
      const float log_p = z - lse, p = Exp(log_p);
      const float dz = of_logprob * ((col == target ? 1.0f : 0.0f) - p);
      return of_entropy != 0 && p > 0 ? dz - of_entropy * p * (log_p + entropy) : dz;
    }
    __device__ __forceinline__ void One(int64_t col, float z) const {
      StoreElement(to + col, Grad(col, z));
    }
    __device__ __forceinline__ Held Read(int64_t) const { return {}; }
    __device__ __forceinline__ void Pair(int64_t col, float2 logits, Held) const {
      const float of_x = Grad(col, logits.x), of_y = Grad(col + 1, logits.y);
      if constexpr (sizeof(T) == 4)
        *reinterpret_cast<float2*>(to + col) = {of_x, of_y};
      else
        *reinterpret_cast<uint32_t*>(to + col) = PackBf16(of_x, of_y);
    }
  };
  __device__ __forceinline__ OutputRow Row(int64_t row) const {
    return {to + row * stride,
            cols,
            targets ? targets[row] - first : -1,
            lse[row],
            d_logprob[row],
            d_entropy ? d_entropy[row] : 0,
            d_entropy ? entropy[row] : 0};
  }
};

template <class T>
void LogitGrads(Device& device, const Operands<T>& of, const StoreLogitGrads<T>& store) {
  if constexpr (std::is_same_v<T, uint16_t>)
    if (MultiplyByHopperTiles<HopperTilesFor<Along::kDepth, Along::kDepth>>(device, of, store))
      return;
  MultiplyByTiles<Along::kDepth, Along::kDepth>(device, of, store);
}

// One chunk of rows against one slab. dz has whole chunks of 16 bytes, zero past the slab, so that
// its products need no slow path.
template <class T>
void BackwardSlab(Device& device, const HeadBackwardArgs& args, const MatrixView<T>& hidden,
                  const StoreLogitGrads<T>& store, const Tensor& d_hidden) {
  const Weight& w = args.forward.weight;
  const int64_t rows = hidden.rows, padded = RoundUp(store.cols, 8);
  const MatrixView<T> slab = RowsOf(ViewOf<T>(w), store.first, store.cols);
  const MatrixView<T> dz{store.to, rows, padded, store.stride};
  LogitGrads<T>(device, {hidden, slab, rows, padded, w.in}, store);
  InputGradProduct<T>(device, {dz, slab, rows, w.in, padded}, {d_hidden, nullptr, store.first > 0});
  if (!args.d_weight.data) return;
  const Tensor d_slab{args.d_weight.f32() + store.first * w.in, DType::kF32, store.cols, w.in,
                      w.in};
  WeightGradProduct<T>(device, {dz, hidden, store.cols, w.in, rows}, {d_slab, nullptr, true});
}

template <class T>
void RunBackward(Device& device, const HeadBackwardArgs& args) {
  const HeadArgs& forward = args.forward;
  const int64_t all = forward.hidden.rows, vocabulary = forward.weight.out;
  const int32_t* targets = forward.targets ? device.Stage(forward.targets, all) : nullptr;
  const float* d_logprob = device.Stage(args.d_logprob, all);
  const float* d_entropy = args.d_entropy ? device.Stage(args.d_entropy, all) : nullptr;
  const int64_t stride = RoundUp(Least(vocabulary, kGradColumns), 8);
  T* dz = device.Scratch<T>(Least(all, kGradRows) * stride);
  for (int64_t row = 0; row < all; row += kGradRows) {
    const int64_t rows = Least(kGradRows, all - row);
    const MatrixView<T> hidden = RowsOf(ViewOf<T>(forward.hidden), row, rows);
    Tensor d_hidden = args.d_hidden;
    d_hidden.data = d_hidden.f32() + row * d_hidden.stride;
    for (int64_t col = 0; col < vocabulary; col += kGradColumns) {
      const StoreLogitGrads<T> store{dz,
                                     stride,
                                     col,
                                     Least(kGradColumns, vocabulary - col),
                                     targets ? targets + row : nullptr,
                                     d_logprob + row,
                                     d_entropy ? d_entropy + row : nullptr,
                                     forward.lse + row,
                                     d_entropy ? forward.entropy + row : nullptr};
      BackwardSlab<T>(device, args, hidden, store, d_hidden);
    }
  }
}

constexpr int kKlThreads = 256;

// f(lane's value) over a block, in one fixed tree; every thread has the result.
template <class OfWarp, class Combine>
__device__ __forceinline__ float OverBlock(float x, const OfWarp& of_warp, const Combine& combine) {
  float* shared = reinterpret_cast<float*>(DynamicShared());
  x = of_warp(x);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = x;
  __syncthreads();
  x = shared[0];
  for (int i = 1; i < kKlThreads / kWarp; ++i) x = combine(x, shared[i]);
  __syncthreads();
  return x;
}
__device__ __forceinline__ float BlockMax(float x) {
  return OverBlock(
      x, [](float a) { return WarpMax(a); }, [](float a, float b) { return Max(a, b); });
}
__device__ __forceinline__ float BlockSum(float x) {
  return OverBlock(
      x, [](float a) { return WarpSum(a); }, [](float a, float b) { return a + b; });
}

// A block each row: the slab's sums join those of the slabs before; the last one gives kl.
__global__ void __launch_bounds__(kKlThreads)
    KlSlab(const float* z, const float* y, int64_t stride, int64_t cols, DivergenceSums* sums,
           bool is_first, float* kl) {
  const int64_t row = blockIdx.x;
  z += row * stride;
  y += row * stride;
  DivergenceSums x{-kInfinity, 0, -kInfinity, 0, 0};
  for (int64_t c = threadIdx.x; c < cols; c += kKlThreads) {
    x.m = Max(x.m, z[c]);
    x.n = Max(x.n, y[c]);
  }
  x.m = BlockMax(x.m);
  x.n = BlockMax(x.n);
  for (int64_t c = threadIdx.x; c < cols; c += kKlThreads) {
    const float d = z[c] - x.m, e = Exp(d), other = y[c] - x.n;
    x.s += e;
    x.r += Exp(other);
    x.t = Fma(e, d - other, x.t);
  }
  x.s = BlockSum(x.s);
  x.r = BlockSum(x.r);
  x.t = BlockSum(x.t);
  if (threadIdx.x > 0) return;
  if (!is_first) x = Merge(sums[row], x);
  sums[row] = x;
  if (kl) kl[row] = x.Kl();
}

template <class T>
void RunKl(Device& device, const HeadKlArgs& args) {
  const int64_t all = args.hidden_p.rows, vocabulary = args.weight_p.out;
  const int64_t most = Least(all, kKlRows), stride = RoundUp(Least(vocabulary, kKlColumns), 2);
  float* z = device.Scratch<float>(most * stride);
  float* y = device.Scratch<float>(most * stride);
  auto* sums = device.Scratch<DivergenceSums>(most);
  for (int64_t row = 0; row < all; row += kKlRows)
    for (int64_t col = 0; col < vocabulary; col += kKlColumns) {
      const int64_t rows = Least(kKlRows, all - row), cols = Least(kKlColumns, vocabulary - col);
      const auto logits = [&](const Tensor& hidden, const Weight& w, float* to) {
        const MatrixView<T> x = RowsOf(ViewOf<T>(hidden), row, rows);
        const MatrixView<T> slab = RowsOf(ViewOf<T>(w), col, cols);
        ForwardProduct<T>(device, {x, slab, rows, cols, w.in},
                          {{to, DType::kF32, rows, cols, stride}, nullptr, false});
      };
      logits(args.hidden_p, args.weight_p, z);
      logits(args.hidden_q, args.weight_q, y);
      const bool is_last = col + cols == vocabulary;
      Launch(device, KlSlab, {rows}, kKlThreads, kKlThreads / kWarp * sizeof(float), z, y, stride,
             cols, sums, col == 0, is_last ? args.kl + row : nullptr);
    }
}

}  // namespace

void HeadBackward(void* device, const HeadBackwardArgs& args) {
  if (args.forward.hidden.rows == 0) return;
  const Operation op(device);
  if (args.forward.weight.dtype == DType::kF32)
    RunBackward<float>(op.device(), args);
  else
    RunBackward<uint16_t>(op.device(), args);
}

void HeadKl(void* device, const HeadKlArgs& args) {
  if (args.hidden_p.rows == 0) return;
  const Operation op(device);
  if (args.weight_p.dtype == DType::kF32)
    RunKl<float>(op.device(), args);
  else
    RunKl<uint16_t>(op.device(), args);
}

}  // namespace alignlab::cuda
