// Sample. A block draws the token of a row: it writes the penalised logits down as distances from
// their maximum, narrows the set of tokens by the filters, and walks the rest by id.
#include "cuda/columns.h"
#include "cuda/operations.h"
#include "cuda/token_set.h"

namespace alignlab::cuda {

namespace {

constexpr float kNotANumber = __builtin_nanf("");

struct Drawn {
  int32_t token;
  float logprob, processed_logprob;
};

struct SampleView {
  const float* logits;
  const float* from;  // what is drawn from
  int64_t logits_stride, from_stride, vocabulary;
  const float* lse;
  const SampleRow* rows;
  const int32_t* seen;
  const int32_t* seen_counts;
  const int32_t* banned;
  float* distances;  // (rows of a launch, vocabulary)
  Drawn* drawn;
  float unit;  // of TokenSet
};

// z = the row's logits after the penalties.
__device__ inline void Penalise(const SampleView& args, const SampleRow& row, const float* logits,
                                float* z) {
  for (int64_t v = threadIdx.x; v < args.vocabulary; v += blockDim.x) z[v] = logits[v];
  __syncthreads();
  // Each token is there once.
  for (int64_t i = row.seen_begin + threadIdx.x; i < row.seen_end; i += blockDim.x) {
    float value = z[args.seen[i]];
    value = value < 0 ? value * row.repetition_penalty : Divide(value, row.repetition_penalty);
    const int32_t count = args.seen_counts[i];
    if (count > 0) value -= row.presence_penalty + row.frequency_penalty * float(count);
    z[args.seen[i]] = value;
  }
  __syncthreads();
  for (int64_t i = row.banned_begin + threadIdx.x; i < row.banned_end; i += blockDim.x)
    z[args.banned[i]] = -kInfinity;
  __syncthreads();
}

// The largest of the row; NaN when one of them is.
__device__ inline float MaximumOf(const float* z, int64_t count) {
  __shared__ float largest[kSpans];
  float max = -kInfinity;
  bool number = true;
  for (int64_t v = threadIdx.x; v < count; v += blockDim.x) {
    max = Max(max, z[v]);
    number = number && z[v] == z[v];
  }
  max = WarpMax(max);
  if (Ballot(!number)) max = kNotANumber;
  if (threadIdx.x % kWarp == 0) largest[threadIdx.x / kWarp] = max;
  __syncthreads();
  for (unsigned w = 0; w < blockDim.x / kWarp; ++w)
    max = largest[w] == largest[w] && max == max ? Max(max, largest[w]) : kNotANumber;
  return max;
}

// Narrows the set; `total` is its probability, before and after.
__device__ inline void Filter(const SampleRow& row, TokenSet& set, uint64_t& total) {
  const auto probability = [&](float d, uint32_t) { return set.ProbabilityOf(d); };
  if (row.top_k > 0 && row.top_k < set.count) {
    set.KeepNearest(uint64_t(row.top_k), [](float, uint32_t) { return uint64_t(1); });
    total = set.Sum(probability);
  }
  if (row.top_p < 1.0f) {
    const double share = double(row.top_p) * double(total);
    uint64_t wanted = uint64_t(share);
    wanted += double(wanted) < share || wanted == 0;
    set.KeepNearest(wanted < total ? wanted : total, probability);
    total = set.Sum(probability);
  }
  if (row.min_p > 0.0f) {
    const uint64_t last = uint64_t(TokenSet::KeyOf(-Log(row.min_p))) << 32 | 0xffffffff;
    if (last < set.last) set.last = last;
    total = set.Sum(probability);
  }
}

__device__ inline int64_t Draw(const SampleRow& row, TokenSet& set, uint64_t& total) {
  if (row.temperature == 0.0f)
    return set.Reach(1, [](float, uint32_t key) { return uint64_t(key == 0); });
  Filter(row, set, total);
  const auto share = uint64_t(row.uniform * double(total));
  return set.Reach(share < total ? share + 1 : total,
                   [&](float d, uint32_t) { return set.ProbabilityOf(d); });
}

// With more, or without saying that one block is enough, ptxas spills on sm_100 and later.
constexpr int64_t kMostThreads = 512;

__global__ void __launch_bounds__(kMostThreads, 1)
    SampleKernel(SampleView args, int64_t first_row) {
  __shared__ TokenMemory memory;
  const int64_t r = first_row + blockIdx.x;
  const SampleRow row = args.rows[r];
  float* z = args.distances + blockIdx.x * args.vocabulary;
  Penalise(args, row, args.from + r * args.from_stride, z);
  const float max = MaximumOf(z, args.vocabulary);
  const float scale = row.temperature == 0.0f ? 1.0f : Divide(1.0f, row.temperature);
  const bool possible = max > -kInfinity && max < kInfinity && scale < kInfinity;  // not for NaN
  if (!possible) {
    if (threadIdx.x == 0) args.drawn[r] = {-1, kNotANumber, kNotANumber};
    return;
  }
  for (int64_t v = threadIdx.x; v < args.vocabulary; v += blockDim.x) z[v] = (max - z[v]) * scale;
  __syncthreads();
  TokenSet set{z, args.vocabulary, args.unit, memory};
  uint64_t total = set.Sum([&](float d, uint32_t) { return set.ProbabilityOf(d); });
  const int64_t token = Draw(row, set, total);
  if (threadIdx.x > 0) return;
  args.drawn[r] = {int32_t(token), args.logits[r * args.logits_stride + token] - args.lse[r],
                   -z[token] - float(Log(double(total) / double(args.unit)))};
}

// The largest power of two of which the vocabulary's masses sum to less than 2^63.
float UnitFor(int64_t vocabulary) {
  float unit = 0x1p62f;
  for (int64_t tokens = 1; tokens < vocabulary; tokens *= 2) unit /= 2;
  return unit;
}

// Threads enough for 32 tokens each: how many there are does not change the result.
int ThreadsFor(int64_t vocabulary) {
  const int64_t threads = RoundUp(CeilDiv(vocabulary, 32), kWarp);
  return int(threads < kMostThreads ? threads : kMostThreads);
}

SampleView ViewOf(const Operation& op, const SampleArgs& args, int64_t rows_of_launch) {
  int64_t seen = 0, banned = 0;
  for (int64_t r = 0; r < args.logits.rows; ++r) {
    seen = seen > args.rows[r].seen_end ? seen : args.rows[r].seen_end;
    banned = banned > args.rows[r].banned_end ? banned : args.rows[r].banned_end;
  }
  const Tensor& from = args.draw_from.data ? args.draw_from : args.logits;
  return {args.logits.f32(),
          from.f32(),
          args.logits.stride,
          from.stride,
          args.logits.cols,
          args.lse,
          op->Stage(args.rows, args.logits.rows),
          op->Stage(args.seen, seen),
          op->Stage(args.seen_counts, seen),
          op->Stage(args.banned, banned),
          op->Scratch<float>(rows_of_launch * args.logits.cols),
          op->Scratch<Drawn>(args.logits.rows),
          UnitFor(args.logits.cols)};
}

}  // namespace

void Sample(void* device, const SampleArgs& args) {
  constexpr int64_t kDistances = int64_t(1) << 25;  // 128 MiB: more rows than run at a time
  const Operation op(device);
  const int64_t rows = args.logits.rows, vocabulary = args.logits.cols;
  if (rows == 0) return;
  const int64_t fitting = kDistances / vocabulary > 1 ? kDistances / vocabulary : 1;
  const int64_t step = fitting < rows ? fitting : rows;
  const SampleView view = ViewOf(op, args, step);
  for (int64_t first = 0; first < rows; first += step)
    Launch(op.device(), SampleKernel, {first + step < rows ? step : rows - first},
           ThreadsFor(vocabulary), 0, view, first);
  op->Deliver<Drawn>(view.drawn, rows, [args, rows](const Drawn* drawn) {
    for (int64_t r = 0; r < rows; ++r) {
      args.token[r] = drawn[r].token;
      args.logprob[r] = drawn[r].logprob;
      args.processed_logprob[r] = drawn[r].processed_logprob;
    }
  });
}

}  // namespace alignlab::cuda
