// The vocabulary projection's operations in double, one row and one logit after the other.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

inline double HeadWiden(uint16_t half) {
  const uint32_t bits = uint32_t(half) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

inline double HeadValue(const Tensor& t, int64_t row, int64_t col) {
  const int64_t at = row * t.stride + col;
  return t.dtype == DType::kF32 ? t.f32()[at] : HeadWiden(t.bf16()[at]);
}

inline int64_t HeadWeightIndex(const Weight& w, int64_t o, int64_t i) {
  const int64_t p = panel_width;
  if (w.dtype == DType::kF32) return (o / p * w.in + i) * p + o % p;
  return (o / p * (RoundUp(w.in, 2) / 2) + i / 2) * 2 * p + o % p * 2 + i % 2;
}

inline double HeadValue(const Weight& w, int64_t o, int64_t i) {
  const int64_t at = HeadWeightIndex(w, o, i);
  return w.dtype == DType::kF32 ? w.f32()[at] : HeadWiden(w.bf16()[at]);
}

inline std::vector<double> RowLogits(const Tensor& hidden, const Weight& weight, int64_t row) {
  std::vector<double> z(size_t(weight.out));
  for (int64_t v = 0; v < weight.out; ++v) {
    double sum = 0;
    for (int64_t i = 0; i < weight.in; ++i)
      sum += HeadValue(hidden, row, i) * HeadValue(weight, v, i);
    z[size_t(v)] = sum;
  }
  return z;
}

inline double LogSumExp(const std::vector<double>& z) {
  double max = z[0], sum = 0;
  for (double x : z) max = x > max ? x : max;
  for (double x : z) sum += std::exp(x - max);
  return max + std::log(sum);
}

// -sum p log p
inline double Entropy(const std::vector<double>& z, double lse) {
  double entropy = 0;
  for (double x : z) {
    const double p = std::exp(x - lse);
    if (p > 0) entropy -= p * (x - lse);
  }
  return entropy;
}

inline void Head(const HeadArgs& args) {
  for (int64_t r = 0; r < args.hidden.rows; ++r) {
    const std::vector<double> z = RowLogits(args.hidden, args.weight, r);
    const double lse = LogSumExp(z);
    args.lse[r] = float(lse);
    if (args.entropy) args.entropy[r] = float(Entropy(z, lse));
    if (args.targets && args.logprob) args.logprob[r] = float(z[size_t(args.targets[r])] - lse);
    if (!args.logits.data) continue;
    for (size_t v = 0; v < z.size(); ++v)
      args.logits.f32()[r * args.logits.stride + int64_t(v)] = float(z[v]);
  }
}

inline void HeadBackward(const HeadBackwardArgs& args) {
  const Tensor& hidden = args.forward.hidden;
  const Weight& weight = args.forward.weight;
  const int64_t width = weight.in;
  // Sums in double; the result is added to what d_weight holds once, at the end.
  std::vector<double> d_weight(size_t(weight.out * width), 0.0);
  for (int64_t r = 0; r < hidden.rows; ++r) {
    const std::vector<double> z = RowLogits(hidden, weight, r);
    const double lse = LogSumExp(z), entropy = Entropy(z, lse);
    const double a = args.d_logprob[r], b = args.d_entropy ? args.d_entropy[r] : 0.0;
    std::vector<double> d_hidden(size_t(width), 0.0);
    for (int64_t v = 0; v < weight.out; ++v) {
      const double log_p = z[size_t(v)] - lse, p = std::exp(log_p);
      const bool hit = args.forward.targets && args.forward.targets[r] == v;
      const double dz = a * ((hit ? 1.0 : 0.0) - p) - (p > 0 ? b * p * (log_p + entropy) : 0.0);
      for (int64_t i = 0; i < width; ++i) {
        d_hidden[size_t(i)] += dz * HeadValue(weight, v, i);
        d_weight[size_t(v * width + i)] += dz * HeadValue(hidden, r, i);
      }
    }
    for (int64_t i = 0; i < width; ++i)
      args.d_hidden.f32()[r * args.d_hidden.stride + i] = float(d_hidden[size_t(i)]);
  }
  if (!args.d_weight.data) return;
  for (int64_t v = 0; v < weight.out; ++v)
    for (int64_t i = 0; i < width; ++i)
      args.d_weight.f32()[HeadWeightIndex(args.d_weight, v, i)] +=
          float(d_weight[size_t(v * width + i)]);
}

inline void HeadKl(const HeadKlArgs& args) {
  for (int64_t r = 0; r < args.hidden_p.rows; ++r) {
    const std::vector<double> zp = RowLogits(args.hidden_p, args.weight_p, r);
    const std::vector<double> zq = RowLogits(args.hidden_q, args.weight_q, r);
    const double lse_p = LogSumExp(zp), lse_q = LogSumExp(zq);
    double kl = 0;
    for (size_t v = 0; v < zp.size(); ++v) {
      const double log_p = zp[v] - lse_p, p = std::exp(log_p);
      if (p > 0) kl += p * (log_p - (zq[v] - lse_q));
    }
    args.kl[r] = float(kl);
  }
}

}  // namespace alignlab::reference
