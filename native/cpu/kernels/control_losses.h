// The losses of the control learners and their derivatives. Batches are small: one thread walks
// over the rows, and sums are in double, rows ascending.
#pragma once

#include "cpu/kernels/control_math.h"
#include "cpu/kernels/control_rows.h"

namespace alignlab {
namespace {

inline double Softplus(double x) {
  return (x < 0 ? 0.0 : x) + ::log1p(::exp(-__builtin_fabs(x)));  // NaN stays NaN
}
inline double Sigmoid(double x) { return 1 / (1 + ::exp(-x)); }
inline double Larger(double a, double b) { return a < b ? b : a; }
// low for what is below, high for what is above, and NaN as it is
template <class T>
inline T Clamp(T x, T low, T high) {
  return x < low ? low : high < x ? high : x;
}

inline void ActorLoss(void*, const ActorLossArgs& a) {
  const double share = 1 / double(a.rows), alpha = ::exp(double(*a.log_alpha));
  double log_probs = 0, values = 0, entropy_gap = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const bool second = a.q2[r] < a.q1[r];
    a.d_q1[r] = second ? 0.0f : float(-share);
    a.d_q2[r] = second ? float(-share) : 0.0f;
    values += second ? a.q2[r] : a.q1[r];
    log_probs += a.log_prob[r];
    entropy_gap += double(a.log_prob[r]) + a.target_entropy;
  }
  const double loss = share * (alpha * log_probs - values);
  if (a.d_log_alpha) *a.d_log_alpha = float(-entropy_gap / double(a.rows));
  a.tally->sums[kPolicyLoss] += loss;
  a.tally->sums[kEntropy] -= share * log_probs;
  a.tally->sums[kAlpha] += alpha;
  FailUnlessFinite(a.tally, a.update, loss);
}

inline void PolicyGradient(void*, const PolicyGradientArgs& a) {
  const int64_t rows = a.action.rows, actions = a.action.cols;
  const float scale = a.scalars[0], shift = a.scalars[1];
  const float share = float(::exp(double(*a.log_alpha)) / double(rows));
  double d_scale = 0, d_shift = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float *action = RowOf(a.action, r), *spread = RowOf(a.outputs, r) + actions;
    const float *d1 = RowOf(a.d_action[0], r), *d2 = RowOf(a.d_action[1], r);
    float* d = RowOf(a.d_outputs, r);
    for (int64_t j = 0; j < actions; ++j) {
      const int64_t at = r * actions + j;
      const float x = action[j], log_std = scale * spread[j] + shift;
      const float d_u = (d1[j] + d2[j]) * (1 - x * x) + 2 * x * share;
      const bool inside = log_std >= -20 && log_std <= 2;
      const float d_log_std = inside ? d_u * a.std_dev[at] * a.noise[at] - share : 0;
      d[j] = d_u;
      d[actions + j] = d_log_std * scale;
      d_scale += double(d_log_std) * spread[j];
      d_shift += d_log_std;
    }
  }
  a.d_scalars[0] += float(d_scale);
  a.d_scalars[1] += float(d_shift);
}

inline void Targets(void*, const TargetArgs& a) {
  const float alpha = float(::exp(double(*a.log_alpha)));
  for (int64_t r = 0; r < a.reward.rows; ++r) {
    float value = a.q2[r] < a.q1[r] ? a.q2[r] : a.q1[r];
    if (a.log_prob) value -= alpha * a.log_prob[r];
    float reward = *RowOf(a.reward, r);
    if (a.log_ratio && r >= a.real_rows)
      reward += Clamp(a.log_ratio[r - a.real_rows], -a.clip, a.clip);
    a.target[r] = reward + a.discount * (1 - *RowOf(a.terminal, r)) * value;
  }
}

inline void ScaledTanh(void* device, float scale, float* x, int64_t n) {
  const Vec s = Set1(scale);
  ForChunks(device, n, [&](int64_t begin, int64_t end) {
    ForVectors(begin, end,
               [&](int64_t i, int64_t k) { StoreN(x + i, Mul(s, Tanh(LoadN(x + i, k))), k); });
  });
}

// d f = d z scale (1 - tanh^2), z = scale tanh f
inline float ThroughTanh(double d_z, float z, float scale) {
  return float(d_z * (scale - double(z) * z / scale));
}

inline void DiscriminatorLoss(void* device, const DiscriminatorLossArgs& a) {
  for (float* f : a.f) ScaledTanh(device, a.scale, f, 4 * a.each);
  double loss = 0, next_loss = 0;
  const double share = 1 / double(a.each);
  for (int64_t i = 0; i < 2 * a.each; ++i) {
    const float *z1 = a.f[0] + 2 * i, *z2 = a.f[1] + 2 * i;
    const bool sim = i >= a.each;
    const double odds = double(z1[1]) - z1[0], next_odds = odds + z2[1] - z2[0];
    loss += share * Softplus(sim ? -odds : odds);
    next_loss += share * Softplus(sim ? -next_odds : next_odds);
    const double d2 = share * (Sigmoid(next_odds) - sim), d1 = d2 + share * (Sigmoid(odds) - sim);
    float *d_sa = a.d_f[0] + 2 * i, *d_sas = a.d_f[1] + 2 * i;
    d_sa[0] = ThroughTanh(-d1, z1[0], a.scale);
    d_sa[1] = ThroughTanh(d1, z1[1], a.scale);
    d_sas[0] = ThroughTanh(-d2, z2[0], a.scale);
    d_sas[1] = ThroughTanh(d2, z2[1], a.scale);
  }
  a.tally->sums[kDiscLoss] += loss;
  a.tally->sums[kDiscNextLoss] += next_loss;
  FailUnlessFinite(a.tally, a.update, loss + next_loss);
}

inline void LogRatios(void* device, const LogRatiosArgs& a) {
  const int64_t each = a.samples + 1;
  ScaledTanh(device, a.scale, a.f, 2 * a.n * each);
  for (int64_t i = 0; i < a.n; ++i) {
    const float* z = a.f + 2 * i * each;
    a.log_ratio[i] = z[0] - z[1];
    if (a.samples == 0) continue;
    double sum = 0;
    for (int64_t k = 1; k < each; ++k) sum += double(z[2 * k + 1]) - z[2 * k];
    a.gap[i] = Clamp(float(sum / double(a.samples)), kGapFloorValue, a.gap_high);
  }
}

inline void Weigh(void*, const WeighArgs& a) {
  const double floor = -0.95 * a.limit, share = 1 / double(a.sim);
  double* sums = a.tally->sums;
  for (int64_t i = 0; i < a.sim; ++i) {
    const float ratio = Clamp(::expf(a.log_ratio[i]), a.low, a.high);
    sums[kRatio] += share * ratio;
    sums[kRootRatio] += share * ::sqrtf(ratio);
    sums[kRatioFloor] += share * (a.log_ratio[i] < floor);
    if (a.coefficient) a.coefficient[a.real + i] = (a.importance ? ratio : 1.0f) / float(a.sim);
  }
  if (!a.coefficient) return;
  for (int64_t r = 0; r < a.real; ++r) a.coefficient[r] = 1 / float(a.real);
  double total = 0;
  for (int64_t i = 0; i < a.sim; ++i) total += a.gap ? double(a.gap[i]) : 1.0;
  for (int64_t i = 0; i < a.sim; ++i) {
    a.log_omega[i] = (a.gap ? ::log(double(a.gap[i])) : 0.0) - ::log(total);
    if (!a.gap) continue;
    sums[kGap] += share * a.gap[i];
    sums[kGapFloor] += share * (a.gap[i] <= kGapFloorValue);
  }
}

constexpr double kSmallestShare = 1e-20;

inline void ConservativeLoss(void*, const ConservativeLossArgs& a) {
  const int64_t fan = 3 * a.n;
  const auto uniform = float(-double(a.actions) * ::log(2.0));
  double difference = a.first ? 0 : a.tally->conservative;
  for (int64_t r = 0; r < a.states; ++r) {
    const float* q = a.q + r * fan;
    float* d = a.d + r * fan;  // v at first
    double highest = -__builtin_inf(), sum = 0;
    for (int64_t k = 0; k < fan; ++k) {
      const int64_t kind = k / a.n;
      const float log_prob = kind == 0 ? uniform : a.log_prob[kind - 1][r * a.n + k % a.n];
      d[k] = float((double(q[k]) - log_prob) / a.temperature);
      highest = Larger(highest, double(d[k]));
    }
    for (int64_t k = 0; k < fan; ++k) sum += ::exp(d[k] - highest);
    for (int64_t k = 0; k < fan; ++k) {
      const double probability = ::exp(d[k] - highest) / sum;
      d[k] = probability >= kSmallestShare ? float(a.weight * a.share * probability) : 0.0f;
    }
    difference += a.share * (a.temperature * (highest + ::log(sum)) - a.q_data[r]);
  }
  a.tally->conservative = difference;
}

// Adds weight d difference / d q to d_q; returns the difference.
inline double TrustDifference(const CriticLossArgs& a) {
  const bool linear = a.penalty == CriticPenalty::kH2oLinear;
  const int64_t real = a.real_rows, sim = a.rows - real;
  const float* q_sim = a.q + real;
  double mean_real = 0, pushed = 0, sum = 0, highest = -__builtin_inf();
  for (int64_t r = 0; r < real; ++r) mean_real += a.q[r] / double(real);
  for (int64_t i = 0; i < sim; ++i) {
    pushed += ::exp(a.log_omega[i]) * q_sim[i];
    highest = Larger(highest, q_sim[i] + a.log_omega[i]);
  }
  for (int64_t i = 0; i < sim; ++i) sum += ::exp(q_sim[i] + a.log_omega[i] - highest);
  const double log_sum = highest + ::log(sum);
  const double difference = (linear ? pushed : log_sum) - mean_real;
  if (!(__builtin_fabs(difference) <= a.limit))
    return Clamp(difference, -double(a.limit), double(a.limit));
  for (int64_t r = 0; r < real; ++r) a.d_q[r] -= float(a.weight / double(real));
  for (int64_t i = 0; i < sim; ++i) {
    const double share = ::exp(linear ? a.log_omega[i] : q_sim[i] + a.log_omega[i] - log_sum);
    if (share >= kSmallestShare) a.d_q[real + i] += float(a.weight * share);
  }
  return difference;
}

inline void CriticLoss(void*, const CriticLossArgs& a) {
  const int64_t real = a.real_rows, sim = a.rows - real;
  const float even = 1 / float(a.rows);
  ControlTally& tally = *a.tally;
  double bellman = 0, difference = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const float c = a.coefficient ? a.coefficient[r] : even;
    const double error = double(a.q[r]) - a.target[r];
    bellman += c * error * error;
    a.d_q[r] = float(2 * c * error);
  }
  if (a.penalty == CriticPenalty::kCql) {
    difference = tally.conservative;
    for (int64_t r = 0; r < a.rows; ++r) a.d_q[r] -= float(a.weight * (1 / double(a.rows)));
  } else if (a.penalty != CriticPenalty::kNone) {
    difference = TrustDifference(a);
  }
  AddCriticLoss(a, bellman, difference);
  if (a.critic != 0) return;
  for (int64_t r = 0; r < a.rows; ++r)
    tally.sums[r < real ? kQReal : kQSim] += a.q[r] / double(r < real ? real : sim);
}

}  // namespace
}  // namespace alignlab
