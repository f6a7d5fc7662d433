// Head: a product's tiles leave a few sums for each row and 128 columns of the vocabulary (256 by
// Hopper's instructions); a second kernel merges them. On an exact device the columns of a tile are
// the same for one row and for thousands, so a row's log-probability has the same bits in decoding,
// scoring and training.
#include "cuda/kernels/head.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int kColumns = 128;  // of a tile: decides how sums are grouped, hence bits
// Rows whose sums are held at once: 16 bytes for each row and tile.
constexpr int64_t kChunk = 4096;

// Both tiles are kColumns wide.
template <class T>
struct HeadTilesFor {
  using Large = TensorTile<128, kColumns, 32, 2, 4, Along::kDepth, Along::kDepth>;
  using Small = TensorTile<16, kColumns, 64, 1, 4, Along::kDepth, Along::kDepth>;
};
template <>
struct HeadTilesFor<float> {
  using Large = PlainTile<4, kColumns / 16, 16, Along::kDepth, Along::kDepth>;
  using Small = PlainTile<1, kColumns / 16, 16, Along::kDepth, Along::kDepth>;
};
constexpr int kStages = 4;

// A tile of logits in shared memory. The 8 floats between rows keep the stores of a warp, pairs
// from 4 columns by 8 rows, in different banks.
constexpr int kStride = kColumns + 8;
struct ToShared {
  static constexpr bool pairs = true;
  float* z;
  struct OutputRow {
    static constexpr int kAhead = 8;
    struct Held {};
    float* z;
    __device__ __forceinline__ void One(int64_t col, float x) const { z[col] = x; }
    __device__ __forceinline__ Held Read(int64_t) const { return {}; }
    __device__ __forceinline__ void Pair(int64_t col, float2 logits, Held) const {
      *reinterpret_cast<float2*>(z + col) = logits;
    }
  };
  __device__ __forceinline__ OutputRow Row(int64_t row) const { return {z + row * kStride}; }
};

// By a warp: z holds the row's logits from column `col` on, `cols` of them; `sums` are its own.
__device__ __forceinline__ void FinishRow(const HeadOutputs& out, VocabularySums* sums,
                                          const float* z, int64_t row, int64_t col, int cols) {
  constexpr int kPerLane = kColumns / kWarp;
  const int lane = int(threadIdx.x) % kWarp;
  float of_lane[kPerLane], most = -kInfinity;
  ALIGNLAB_UNROLL
  for (int i = 0; i < kPerLane; ++i) {
    const int c = lane + kWarp * i;
    of_lane[i] = c < cols ? z[c] : -kInfinity;
    most = Max(most, of_lane[i]);
    if (out.logits && c < cols) out.logits[row * out.logits_stride + col + c] = of_lane[i];
  }
  const float m = WarpMax(most);
  float s = 0, t = 0;
  ALIGNLAB_UNROLL
  for (int i = 0; i < kPerLane; ++i) {
    if (lane + kWarp * i >= cols) continue;
    const float d = of_lane[i] - m, e = Exp(d);
    s += e;
    t = Fma(d, e, t);
  }
  s = WarpSum(s);
  t = WarpSum(t);
  if (lane > 0) return;
  sums[col / kColumns] = {m, s, t, 0};
  if (!out.targets) return;
  const int64_t target = out.targets[row] - col;
  if (target >= 0 && target < cols) out.logprob[row] = z[target];
}

template <class Tile, bool kAligned>
__global__ void __launch_bounds__(Tile::kThreads, kBlocksOf<Tile>)
    HeadKernel(Operands<typename Tile::Element> of, HeadOutputs out) {
  const TilePlace at = PlaceOf<Tile>(blockIdx.x, of.m, of.n);
  Tile tile;
  SumTile<Tile, kStages, kAligned>(tile, of, at.row, at.col);
  float* z = reinterpret_cast<float*>(DynamicShared());
  tile.Emit(0, 0, Tile::kRows, Tile::kCols, ToShared{z});
  __syncthreads();
  const int64_t rest = of.n - at.col, rows = of.m - at.row, tiles = CeilDiv(of.n, kColumns);
  const int cols = rest < kColumns ? int(rest) : kColumns;
  for (int r = int(threadIdx.x) / kWarp; r < Tile::kRows && r < rows; r += Tile::kThreads / kWarp)
    FinishRow(out, out.sums + (at.row + r) * tiles, z + r * kStride, at.row + r, at.col, cols);
}

constexpr int kMergeThreads = 128;

// A warp each row: lanes merge every 32nd tile, ascending, then one another.
__global__ void __launch_bounds__(kMergeThreads)
    MergeTiles(const VocabularySums* sums, int64_t tiles, int64_t rows, float* lse, float* entropy,
               float* logprob) {
  const int lane = int(threadIdx.x) % kWarp;
  const int64_t row = int64_t(blockIdx.x) * (kMergeThreads / kWarp) + threadIdx.x / kWarp;
  if (row >= rows) return;
  VocabularySums x = VocabularySums::OfNone();
  for (int64_t i = lane; i < tiles; i += kWarp) x = Merge(x, sums[row * tiles + i]);
  x = MergeWarp(x);
  if (lane > 0) return;
  lse[row] = x.LogSumExp();
  if (entropy) entropy[row] = x.Entropy();
  if (logprob) logprob[row] -= lse[row];
}

template <class Tile, bool kAligned, class T>
void LaunchHead(Device& device, const Operands<T>& of, const HeadOutputs& out) {
  constexpr int kPieces = kPieceBytes<Tile, kStages>;
  constexpr int kLogits = Tile::kRows * kStride * int(sizeof(float));
  Launch(device, HeadKernel<Tile, kAligned>, TilesOf<Tile>(of.m, of.n), Tile::kThreads,
         kPieces > kLogits ? kPieces : kLogits, of, out);
}

// Tiles along the vocabulary.
template <class T>
int64_t RunTiles(Device& device, const Operands<T>& of, const HeadOutputs& out) {
  if constexpr (std::is_same_v<T, uint16_t>)
    if (const int64_t tiles = HeadByHopper(device, of, out)) return tiles;
  using Tiles = HeadTilesFor<T>;
  if (!of.a.Aligned() || !of.b.Aligned())
    LaunchHead<typename Tiles::Small, false>(device, of, out);
  else if (of.m <= 2 * Tiles::Small::kRows)
    LaunchHead<typename Tiles::Small, true>(device, of, out);
  else
    LaunchHead<typename Tiles::Large, true>(device, of, out);
  return CeilDiv(of.n, kColumns);
}

template <class T>
void RunHead(Device& device, const HeadArgs& args) {
  const int64_t all = args.hidden.rows;
  const bool scored = args.targets && args.logprob;
  const int32_t* targets = scored ? device.Stage(args.targets, all) : nullptr;
  auto* sums = device.Scratch<VocabularySums>((all < kChunk ? all : kChunk) *
                                              CeilDiv(args.weight.out, kColumns));
  for (int64_t first = 0; first < all; first += kChunk) {
    const int64_t rows = all - first < kChunk ? all - first : kChunk;
    MatrixView<T> hidden = ViewOf<T>(args.hidden);
    hidden.data += first * hidden.stride;
    hidden.rows = rows;
    HeadOutputs out{sums, nullptr, nullptr, nullptr, args.logits.stride};
    if (scored) out.targets = targets + first, out.logprob = args.logprob + first;
    if (args.logits.data) out.logits = args.logits.f32() + first * out.logits_stride;
    const int64_t tiles = RunTiles<T>(
        device, {hidden, ViewOf<T>(args.weight), rows, args.weight.out, args.weight.in}, out);
    Launch(device, MergeTiles, {CeilDiv(rows, kMergeThreads / kWarp)}, kMergeThreads, 0, sums,
           tiles, rows, args.lse + first, args.entropy ? args.entropy + first : nullptr,
           out.logprob);
  }
}

}  // namespace

void Head(void* device, const HeadArgs& args) {
  if (args.hidden.rows == 0) return;
  const Operation op(device);
  if (args.weight.dtype == DType::kF32)
    RunHead<float>(op.device(), args);
  else
    RunHead<uint16_t>(op.device(), args);
}

}  // namespace alignlab::cuda
