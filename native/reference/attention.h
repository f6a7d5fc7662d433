// Attention and AttentionBackward by definition: one query and one head after the other.
#pragma once

#include <cmath>
#include <vector>

#include "backend/backend.h"
#include "reference/qkv.h"
#include "reference/values.h"

namespace alignlab::reference {

struct VisibleKey {
  int64_t slot;  // in the pages
  int64_t row;   // in the batch; means nothing when the token is only cached
};

// The first `own` tokens of the segment behind all those of its ancestors, from the root on.
inline std::vector<VisibleKey> VisibleKeys(const AttentionArgs& args, int32_t segment,
                                           int64_t own) {
  const AttentionSegment& s = args.segments[segment];
  std::vector<VisibleKey> keys;
  if (s.parent >= 0) keys = VisibleKeys(args, s.parent, args.segments[s.parent].length);
  for (int64_t t = 0; t < own; ++t)
    keys.push_back({s.pages[t / kPage] * kPage + t % kPage, s.row + t});
  return keys;
}

// softmax over the keys, of query row `row`, head h.
inline std::vector<double> Probabilities(const AttentionArgs& args, int64_t row, int64_t h,
                                         const std::vector<VisibleKey>& keys, double* lse) {
  const int64_t dim = args.kv.head_dim, g = h / (args.heads / args.kv.kv_heads);
  std::vector<double> p;
  double max = -INFINITY, sum = 0;
  for (const VisibleKey& key : keys) {
    double score = 0;
    for (int64_t k = 0; k < dim; ++k)
      score += Value(args.q, row, h * dim + k) * KeyAt(args.kv, key.slot, g, k);
    p.push_back(score * double(args.scale));
    max = p.back() > max ? p.back() : max;
  }
  for (double& x : p) sum += x = std::exp(x - max);
  for (double& x : p) x /= sum;
  *lse = max + std::log(sum);
  return p;
}

inline std::vector<double> Attend(const AttentionArgs& args, int64_t row, int64_t h,
                                  const std::vector<VisibleKey>& keys, double* lse) {
  const int64_t dim = args.kv.head_dim, g = h / (args.heads / args.kv.kv_heads);
  const std::vector<double> p = Probabilities(args, row, h, keys, lse);
  std::vector<double> out(static_cast<size_t>(dim));
  for (size_t j = 0; j < keys.size(); ++j)
    for (int64_t k = 0; k < dim; ++k) out[size_t(k)] += p[j] * ValueAt(args.kv, keys[j].slot, g, k);
  return out;
}

// visit(row, keys) for each query of the call.
template <class F>
void ForEachQuery(const AttentionArgs& args, const F& visit) {
  for (int64_t r = 0; r < args.run_count; ++r) {
    const QueryRun& run = args.runs[r];
    for (int64_t i = 0; i < run.count; ++i)
      visit(run.row + i, VisibleKeys(args, run.segment, run.offset + i + 1));
  }
}

inline void Attention(const AttentionArgs& args) {
  const int64_t dim = args.kv.head_dim;
  ForEachQuery(args, [&](int64_t row, const std::vector<VisibleKey>& keys) {
    for (int64_t h = 0; h < args.heads; ++h) {
      double lse = 0;
      const std::vector<double> out = Attend(args, row, h, keys, &lse);
      for (int64_t k = 0; k < dim; ++k) SetValue(args.out, row, h * dim + k, out[size_t(k)]);
      if (args.lse) args.lse[row * args.heads + h] = float(lse);
    }
  });
}

// Gradients in double, (T, H K) and (T, G K), before they are stored.
struct AttentionGradients {
  std::vector<double> d_q, d_k, d_v;
};

// dS = P (dP - sum_j P dP), from probabilities computed anew: out and lse are not read.
inline AttentionGradients AttentionBackwardDouble(const AttentionBackwardArgs& args) {
  const AttentionArgs& f = args.forward;
  const int64_t dim = f.kv.head_dim, heads = f.heads, kv_heads = f.kv.kv_heads;
  AttentionGradients d;
  d.d_q.resize(size_t(args.d_q.rows * heads * dim));
  d.d_k.resize(size_t(args.d_k.rows * kv_heads * dim));
  d.d_v.resize(size_t(args.d_v.rows * kv_heads * dim));
  ForEachQuery(f, [&](int64_t row, const std::vector<VisibleKey>& keys) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t g = h / (heads / kv_heads);
      double lse = 0, mean = 0;
      const std::vector<double> p = Probabilities(f, row, h, keys, &lse);
      std::vector<double> d_p(keys.size());
      for (size_t j = 0; j < keys.size(); ++j) {
        for (int64_t k = 0; k < dim; ++k)
          d_p[j] += Value(args.d_out, row, h * dim + k) * ValueAt(f.kv, keys[j].slot, g, k);
        mean += p[j] * d_p[j];
      }
      for (size_t j = 0; j < keys.size(); ++j) {
        const double d_s = p[j] * (d_p[j] - mean) * double(f.scale);
        for (int64_t k = 0; k < dim; ++k) {
          const size_t query = size_t((row * heads + h) * dim + k);
          const size_t key = size_t((keys[j].row * kv_heads + g) * dim + k);
          d.d_q[query] += d_s * KeyAt(f.kv, keys[j].slot, g, k);
          d.d_k[key] += d_s * Value(f.q, row, h * dim + k);
          d.d_v[key] += p[j] * Value(args.d_out, row, h * dim + k);
        }
      }
    }
  });
  return d;
}

inline void AttentionBackward(const AttentionBackwardArgs& args) {
  const AttentionGradients d = AttentionBackwardDouble(args);
  const auto store = [](const std::vector<double>& from, const Tensor& to) {
    for (int64_t r = 0; r < to.rows; ++r)
      for (int64_t c = 0; c < to.cols; ++c) SetValue(to, r, c, from[size_t(r * to.cols + c)]);
  };
  store(d.d_q, args.d_q);
  store(d.d_k, args.d_k);
  store(d.d_v, args.d_v);
}

}  // namespace alignlab::reference
