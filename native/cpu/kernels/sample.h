// Drawing tokens from logits. A row is copied, penalised, and turned into distances from its
// maximum, d = (max - z) / temperature >= 0, and unnormalised probabilities e^-d. The filters
// find their threshold on d by bisection, first over the values, then, among the tokens that are
// left, over the bit pattern (the bits of non-negative floats are ordered as the floats are): some
// passes of counting instead of a sort. Sums run in one fixed order, and leaving terms out of such
// a sum never makes it larger, rounding included: that is what bisection needs.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/simd.h"

namespace alignlab {
namespace {

// Tokens whose probabilities are summed together before the cumulative sum.
constexpr int64_t kSampleBlock = 512;

// Tokens, ids ascending; `count` is a multiple of 4 * kLanes, and what fills it up is at +inf.
struct TokenList {
  float* distance;     // d; +inf: cannot be drawn
  float* probability;  // e^-d
  int64_t count;
};

constexpr int64_t kListUnit = 4 * kLanes;
constexpr float kFarthest = 88.0f;  // e^-d is exactly 0 before this

inline float FloatFromBits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline uint32_t BitsFromFloat(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

inline void Penalise(const SampleArgs& args, const SampleRow& row, float* z) {
  for (int64_t i = row.seen_begin; i < row.seen_end; ++i) {
    float value = z[args.seen[i]];
    if (row.repetition_penalty != 1.0f)
      value = value < 0 ? value * row.repetition_penalty : value / row.repetition_penalty;
    const int32_t count = args.seen_counts[i];
    if (count > 0) value -= row.presence_penalty + row.frequency_penalty * float(count);
    z[args.seen[i]] = value;
  }
  for (int64_t i = row.banned_begin; i < row.banned_end; ++i) z[args.banned[i]] = -INFINITY;
}

inline float PaddedMax(const float* z, int64_t padded) {
  Vec a = Set1(-INFINITY), b = a;
  for (int64_t j = 0; j < padded; j += 2 * kLanes) {
    a = Max(a, Load(z + j));
    b = Max(b, Load(z + j + kLanes));
  }
  return ReduceMax(Max(a, b));
}

// z becomes d in place; the probabilities go beside it.
inline void Distances(const TokenList& s, float max, float inverse_temperature) {
  const Vec top = Set1(max), scale = Set1(inverse_temperature);
  for (int64_t j = 0; j < s.count; j += kLanes) {
    const Vec d = Mul(Sub(top, Load(s.distance + j)), scale);
    Store(s.distance + j, d);
    Store(s.probability + j, Exp(Sub(Zero(), d)));
  }
}

// How many d <= limit (exact below 2^24), or their probability.
template <bool kCount>
inline float MassWithin(const TokenList& s, float limit) {
  const Vec edge = Set1(limit);
  Vec sum[4] = {Zero(), Zero(), Zero(), Zero()};
  for (int64_t j = 0; j < s.count; j += kListUnit)
    for (int i = 0; i < 4; ++i) {
      const int64_t at = j + i * kLanes;
      const Vec value = kCount ? Set1(1.0f) : Load(s.probability + at);
      sum[i] = Add(sum[i], Select(Less(edge, Load(s.distance + at)), Zero(), value));
    }
  return ReduceAdd(Add(Add(sum[0], sum[1]), Add(sum[2], sum[3])));
}

// Copies the tokens with d <= limit to `out`, which has room for all of s and one unit more.
inline void CopyWithin(const TokenList& s, float limit, TokenList& out) {
  int64_t n = 0;
#if defined(__AVX512F__)
  for (int64_t j = 0; j < s.count; j += kLanes) {
    const __m512 d = Load(s.distance + j).v;
    const __mmask16 in = _mm512_cmp_ps_mask(d, _mm512_set1_ps(limit), _CMP_LE_OQ);
    if (!in) continue;
    Store(out.distance + n, {_mm512_maskz_compress_ps(in, d)});
    Store(out.probability + n, {_mm512_maskz_compress_ps(in, Load(s.probability + j).v)});
    n += __builtin_popcount(in);
  }
#else
  for (int64_t j = 0; j < s.count; ++j) {
    out.distance[n] = s.distance[j];
    out.probability[n] = s.probability[j];
    n += s.distance[j] <= limit;
  }
#endif
  for (out.count = RoundUp(n, kListUnit); n < out.count; ++n) {
    out.distance[n] = INFINITY;
    out.probability[n] = 0;
  }
}

// The smallest limit in [low, high], as bits, with MassWithin(limit) >= wanted; else high.
template <bool kCount>
inline float FindLimit(const TokenList& s, float wanted, uint32_t low, uint32_t high) {
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (MassWithin<kCount>(s, FloatFromBits(middle)) >= wanted)
      high = middle;
    else
      low = middle + 1;
  }
  return FloatFromBits(high);
}

// Drops every token beyond `limit`, and of those at `limit` all but the first `ties`.
inline void Truncate(const TokenList& s, float limit, int64_t ties) {
  const Vec edge = Set1(limit);
  for (int64_t j = 0; j < s.count; j += kLanes) {
    const Vec d = Load(s.distance + j);
    const Mask beyond = Less(edge, d);
    Store(s.distance + j, Select(beyond, Set1(INFINITY), d));
    Store(s.probability + j, Select(beyond, Zero(), Load(s.probability + j)));
  }
  for (int64_t v = 0; ties < s.count && v < s.count; ++v) {
    if (s.distance[v] != limit || ties-- > 0) continue;
    s.distance[v] = INFINITY;
    s.probability[v] = 0;
  }
}

// Keeps the nearest tokens, lower ids first among equals, up to the one with which their number,
// or their probability, reaches `wanted`. `near` is memory for a list.
template <bool kCount>
inline void KeepNearest(const TokenList& s, float wanted, TokenList near) {
  float low = 0, high = kFarthest;
  if (MassWithin<kCount>(s, high) < wanted) {
    low = high;
    high = INFINITY;
  }
  for (int i = 0; i < 6 && high != INFINITY; ++i) {
    const float middle = 0.5f * (low + high);
    (MassWithin<kCount>(s, middle) >= wanted ? high : low) = middle;
  }
  CopyWithin(s, high, near);
  const uint32_t first = low == 0 ? 0 : BitsFromFloat(low) + 1;
  const float limit = FindLimit<kCount>(near, wanted, first, BitsFromFloat(high));
  if (limit == INFINITY) return;  // fewer than wanted can be drawn
  const uint32_t bits = BitsFromFloat(limit);
  float mass = bits == 0 ? 0.0f : MassWithin<kCount>(near, FloatFromBits(bits - 1));
  int64_t kept = 0, ties = 0;
  for (int64_t i = 0; i < near.count; ++i) {
    if (near.distance[i] != limit) continue;
    ++ties;
    if (kept > 0 && mass >= wanted) continue;
    mass += kCount ? 1.0f : near.probability[i];
    ++kept;
  }
  Truncate(s, limit, kept == ties ? s.count : kept);
}

inline float BlockMass(const float* probability) {
  Vec a = Zero(), b = Zero();
  for (int64_t j = 0; j < kSampleBlock; j += 2 * kLanes) {
    a = Add(a, Load(probability + j));
    b = Add(b, Load(probability + j + kLanes));
  }
  return ReduceAdd(Add(a, b));
}

inline double TotalMass(const TokenList& s) {
  double total = 0;
  for (int64_t j = 0; j < s.count; j += kSampleBlock) total += BlockMass(s.probability + j);
  return total;
}

// The first token, ids ascending, at which the cumulative probability exceeds `target`; where
// rounding lets a block's walk run out, its last token that can be drawn.
inline int64_t Draw(const TokenList& s, double target) {
  int64_t chosen = 0;
  double sum = 0, below = 0;
  for (int64_t block = 0; block < s.count && below <= target; block += kSampleBlock) {
    const double mass = BlockMass(s.probability + block);
    if (mass == 0) continue;
    chosen = block;
    sum = below;
    below += mass;
  }
  int64_t last = -1;
  for (int64_t v = chosen; v < chosen + kSampleBlock && sum <= target; ++v) {
    if (s.probability[v] == 0) continue;
    last = v;
    sum += double(s.probability[v]);
  }
  return last;
}

inline int64_t FirstNearest(const TokenList& s) {
  for (int64_t v = 0; v < s.count; ++v)
    if (s.distance[v] == 0) return v;
  return -1;
}

inline void Filter(const SampleRow& row, int64_t vocab, const TokenList& s, const TokenList& near) {
  if (row.top_k > 0 && row.top_k < vocab) KeepNearest<true>(s, float(row.top_k), near);
  if (row.top_p < 1.0f) KeepNearest<false>(s, row.top_p * MassWithin<false>(s, kFarthest), near);
  if (row.min_p > 0.0f) Truncate(s, -__builtin_logf(row.min_p), s.count);
}

inline void SampleOne(const SampleArgs& args, int64_t r, const TokenList& s,
                      const TokenList& near) {
  const SampleRow& row = args.rows[r];
  const int64_t vocab = args.logits.cols;
  const float* raw = args.logits.f32() + r * args.logits.stride;
  const Tensor& from = args.draw_from.data ? args.draw_from : args.logits;
  std::memcpy(s.distance, from.f32() + r * from.stride, size_t(vocab) * sizeof(float));
  for (int64_t v = vocab; v < s.count; ++v) s.distance[v] = -INFINITY;
  Penalise(args, row, s.distance);
  const bool greedy = row.temperature == 0.0f;
  Distances(s, PaddedMax(s.distance, s.count), greedy ? 1.0f : 1.0f / row.temperature);
  double total = TotalMass(s);
  int64_t token = -1;
  if (total >= 1.0) {  // false for NaN; the nearest token alone has e^0 = 1
    if (!greedy && (row.top_k > 0 || row.top_p < 1.0f || row.min_p > 0.0f)) {
      Filter(row, vocab, s, near);
      total = TotalMass(s);
    }
    token = greedy ? FirstNearest(s) : Draw(s, row.uniform * total);
  }
  args.token[r] = int32_t(token);
  args.logprob[r] = token < 0 ? NAN : raw[token] - args.lse[r];
  args.processed_logprob[r] = token < 0 ? NAN : -s.distance[token] - float(__builtin_log(total));
}

void Sample(void* device, const SampleArgs& args) {
  const int64_t padded = RoundUp(args.logits.cols, kSampleBlock);
  const int64_t room = padded + kListUnit;
  ParallelFor(device, args.logits.rows, [&](int64_t r, Worker& worker) {
    float* memory = static_cast<float*>(worker.Scratch(size_t(4 * room) * sizeof(float)));
    SampleOne(args, r, {memory, memory + room, padded}, {memory + 2 * room, memory + 3 * room, 0});
  });
}

}  // namespace
}  // namespace alignlab
