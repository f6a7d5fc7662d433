// Sampling as its definition reads: penalise, sort, cut, walk. Distances from the maximum are
// formed in float, because ties between them (which token of equals is kept) are part of the
// definition; all sums are in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "backend/backend.h"

namespace alignlab::reference {

struct Candidate {
  int64_t id;
  float distance;      // (max - z) / temperature
  double probability;  // unnormalised
};

inline std::vector<float> PenalisedLogits(const SampleArgs& args, int64_t r) {
  const SampleRow& row = args.rows[r];
  const Tensor& from = args.draw_from.data ? args.draw_from : args.logits;
  const float* raw = from.f32() + r * from.stride;
  std::vector<float> z(raw, raw + from.cols);
  for (int64_t i = row.seen_begin; i < row.seen_end; ++i) {
    float& value = z[size_t(args.seen[i])];
    value = value < 0 ? value * row.repetition_penalty : value / row.repetition_penalty;
    if (args.seen_counts[i] > 0)
      value -= row.presence_penalty + row.frequency_penalty * float(args.seen_counts[i]);
  }
  for (int64_t i = row.banned_begin; i < row.banned_end; ++i)
    z[size_t(args.banned[i])] = -std::numeric_limits<float>::infinity();
  return z;
}

inline double Mass(const std::vector<Candidate>& candidates) {
  double sum = 0;
  for (const Candidate& c : candidates) sum += c.probability;
  return sum;
}

// The tokens that row r may draw, most probable first, lower ids first among equals.
inline std::vector<Candidate> Candidates(const SampleArgs& args, int64_t r) {
  const SampleRow& row = args.rows[r];
  const std::vector<float> z = PenalisedLogits(args, r);
  const float max = *std::max_element(z.begin(), z.end());
  const bool greedy = row.temperature == 0;
  const float scale = greedy ? 1.0f : 1.0f / row.temperature;
  std::vector<Candidate> kept;
  for (size_t v = 0; v < z.size(); ++v) {
    const float distance = (max - z[v]) * scale;
    if (std::isfinite(distance))
      kept.push_back({int64_t(v), distance, std::exp(-double(distance))});
  }
  std::stable_sort(kept.begin(), kept.end(),
                   [](const Candidate& a, const Candidate& b) { return a.distance < b.distance; });
  if (greedy) return kept;
  if (row.top_k > 0) kept.resize(std::min(kept.size(), size_t(row.top_k)));
  if (row.top_p < 1) {
    const double wanted = double(row.top_p) * Mass(kept);
    size_t count = 0;
    for (double sum = 0; count < kept.size() && (count == 0 || sum < wanted); ++count)
      sum += kept[count].probability;
    kept.resize(count);
  }
  while (row.min_p > 0 && kept.back().probability < row.min_p) kept.pop_back();
  return kept;
}

inline void Sample(const SampleArgs& args) {
  for (int64_t r = 0; r < args.logits.rows; ++r) {
    std::vector<Candidate> kept = Candidates(args, r);
    const double mass = Mass(kept);
    Candidate drawn = kept.front();
    if (args.rows[r].temperature != 0) {
      std::sort(kept.begin(), kept.end(),
                [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
      double sum = 0;
      for (const Candidate& c : kept) {
        if (c.probability == 0) continue;
        drawn = c;
        sum += c.probability;
        if (sum > args.rows[r].uniform * mass) break;
      }
    }
    args.token[r] = int32_t(drawn.id);
    args.logprob[r] = args.logits.f32()[r * args.logits.stride + drawn.id] - args.lse[r];
    args.processed_logprob[r] = float(std::log(drawn.probability / mass));
  }
}

}  // namespace alignlab::reference
