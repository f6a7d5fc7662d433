// The control operations that put rows together and the losses, as plain loops in double: what
// backend/control_operations.h means. Derivatives stand here in closed form;
// test/control_gradient_test.cc compares those of whole updates with finite differences.
#pragma once

#include "reference/control.h"
#include "reference/values.h"

namespace alignlab::reference {

inline void DrawRows(const DrawRowsArgs& a) {
  for (int64_t i = 0; i < a.to.rows; ++i) {
    const RowRing& from = i < a.real_rows ? a.real : a.sim;
    const int64_t age = DrawIndex(a.key, a.purpose, a.step, i, from.size);
    const float* row = from.rows + (from.oldest + age) % from.capacity * from.width;
    for (int64_t c = 0; c < a.to.cols; ++c) {
      double x = row[c];
      if (a.scale) x = (x - a.shift[c]) * a.scale[c];
      if (a.scale && a.xi) x += double(a.noise) * a.xi[i * a.to.cols + c];
      SetValue(a.to, i, c, x);
    }
  }
}

inline void RatioInputs(const RatioInputsArgs& a) {
  const int64_t each = a.samples + 1, next = a.to.cols - a.states;
  for (int64_t i = 0; i < a.to.rows; ++i)
    for (int64_t c = 0; c < a.to.cols; ++c) {
      double x = Value(a.rows, i / each, c);
      const int64_t sample = i / each * a.samples + i % each - 1;
      if (i % each > 0 && c >= next)
        x += double(a.xi[sample * a.states + c - next]) * a.spread[c - next];
      SetValue(a.to, i, c, (x - a.shift[c]) * a.scale[c]);
    }
}

inline void ConservativeInputs(const ConservativeInputsArgs& a) {
  for (int64_t s = 0; s < a.states.rows; ++s)
    for (int64_t kind = 0; kind < 3; ++kind)
      for (int64_t k = 0; k < a.n; ++k) {
        const int64_t to = (s * 3 + kind) * a.n + k;
        for (int64_t c = 0; c < a.states.cols; ++c) SetValue(a.to, to, c, Value(a.states, s, c));
        for (int64_t j = 0; j < a.drawn[kind].cols; ++j) {
          const double x = Value(a.drawn[kind], s * a.n + k, j);
          SetValue(a.to, to, a.states.cols + j, kind == 0 ? 2 * x - 1 : x);
        }
      }
}

inline void NoteFailure(ControlTally* tally, int64_t update, double loss) {
  if (!std::isfinite(loss) && tally->failed == 0) tally->failed = update;
}

inline void ActorLoss(const ActorLossArgs& a) {
  const double alpha = std::exp(double(*a.log_alpha)), n = double(a.rows);
  double loss = 0, log_probs = 0, d_log_alpha = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const bool second = a.q2[r] < a.q1[r];
    a.d_q1[r] = second ? 0 : float(-1 / n);
    a.d_q2[r] = second ? float(-1 / n) : 0;
    loss += (alpha * a.log_prob[r] - (second ? a.q2[r] : a.q1[r])) / n;
    log_probs += a.log_prob[r] / n;
    d_log_alpha -= (double(a.log_prob[r]) + a.target_entropy) / n;
  }
  if (a.d_log_alpha) *a.d_log_alpha = float(d_log_alpha);
  a.tally->sums[kPolicyLoss] += loss;
  a.tally->sums[kEntropy] -= log_probs;
  a.tally->sums[kAlpha] += alpha;
  NoteFailure(a.tally, a.update, loss);
}

inline void PolicyGradient(const PolicyGradientArgs& a) {
  const int64_t rows = a.action.rows, actions = a.action.cols;
  const double share = std::exp(double(*a.log_alpha)) / double(rows);
  double d_scale = 0, d_shift = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < actions; ++j) {
      const int64_t at = r * actions + j;
      const double x = Value(a.action, r, j), s = Value(a.outputs, r, actions + j);
      const double d = Value(a.d_action[0], r, j) + Value(a.d_action[1], r, j);
      const double d_u = d * (1 - x * x) + 2 * x * share;
      const double log_std = double(a.scalars[0]) * s + a.scalars[1];
      const bool inside = log_std >= -20 && log_std <= 2;
      const double d_log_std = inside ? d_u * a.std_dev[at] * a.noise[at] - share : 0;
      SetValue(a.d_outputs, r, j, d_u);
      SetValue(a.d_outputs, r, actions + j, d_log_std * a.scalars[0]);
      d_scale += d_log_std * s;
      d_shift += d_log_std;
    }
  a.d_scalars[0] += float(d_scale);
  a.d_scalars[1] += float(d_shift);
}

inline void Targets(const TargetArgs& a) {
  const double alpha = std::exp(double(*a.log_alpha));
  for (int64_t r = 0; r < a.reward.rows; ++r) {
    double value = std::min(a.q1[r], a.q2[r]), reward = Value(a.reward, r, 0);
    if (a.log_prob) value -= alpha * a.log_prob[r];
    if (a.log_ratio && r >= a.real_rows)
      reward += std::clamp(a.log_ratio[r - a.real_rows], -a.clip, a.clip);
    a.target[r] = float(reward + a.discount * (1 - Value(a.terminal, r, 0)) * value);
  }
}

inline double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

inline void DiscriminatorLoss(const DiscriminatorLossArgs& a) {
  double loss[2] = {0, 0};
  const double share = 1 / double(a.each), c = a.scale;
  for (int64_t i = 0; i < 2 * a.each; ++i) {
    double z[2][2];
    for (int net = 0; net < 2; ++net)
      for (int k = 0; k < 2; ++k) z[net][k] = c * std::tanh(double(a.f[net][2 * i + k]));
    const double sign = i >= a.each ? -1 : 1;
    double d_odds[2], odds = 0;  // of L_sa + L_sas by the odds of each network
    for (int net = 0; net < 2; ++net) {
      odds += z[net][1] - z[net][0];
      loss[net] += share * Softplus(sign * odds);
      d_odds[net] = share * sign * Sigmoid(sign * odds);
    }
    d_odds[0] += d_odds[1];
    for (int net = 0; net < 2; ++net)
      for (int k = 0; k < 2; ++k) {
        const double slope = c * (1 - z[net][k] * z[net][k] / (c * c));
        a.d_f[net][2 * i + k] = float((k == 0 ? -1 : 1) * d_odds[net] * slope);
        a.f[net][2 * i + k] = float(z[net][k]);
      }
  }
  a.tally->sums[kDiscLoss] += loss[0];
  a.tally->sums[kDiscNextLoss] += loss[1];
  NoteFailure(a.tally, a.update, loss[0] + loss[1]);
}

inline void LogRatios(const LogRatiosArgs& a) {
  for (int64_t i = 0; i < a.n; ++i) {
    float* f = a.f + 2 * i * (a.samples + 1);
    double sum = 0;
    for (int64_t k = 0; k <= a.samples; ++k) {
      double z[2];
      for (int j = 0; j < 2; ++j) {
        z[j] = a.scale * std::tanh(double(f[2 * k + j]));
        f[2 * k + j] = float(z[j]);
      }
      if (k == 0) a.log_ratio[i] = float(z[0] - z[1]);
      if (k > 0) sum += (z[1] - z[0]) / double(a.samples);
    }
    if (a.samples > 0) a.gap[i] = std::clamp(float(sum), kGapFloorValue, a.gap_high);
  }
}

inline void Weigh(const WeighArgs& a) {
  const double n = double(a.sim);
  double total = 0, *sums = a.tally->sums;
  const auto gap = [&](int64_t i) { return a.gap ? double(a.gap[i]) : 1.0; };
  for (int64_t i = 0; i < a.sim; ++i) {
    const double w = std::clamp(std::exp(double(a.log_ratio[i])), double(a.low), double(a.high));
    sums[kRatio] += w / n;
    sums[kRootRatio] += std::sqrt(w) / n;
    sums[kRatioFloor] += (a.log_ratio[i] < -0.95 * a.limit) / n;
    total += gap(i);
    if (a.coefficient) a.coefficient[a.real + i] = float((a.importance ? w : 1) / n);
  }
  if (!a.coefficient) return;
  for (int64_t r = 0; r < a.real; ++r) a.coefficient[r] = float(1 / double(a.real));
  for (int64_t i = 0; i < a.sim; ++i) {
    a.log_omega[i] = std::log(gap(i) / total);
    if (!a.gap) continue;
    sums[kGap] += gap(i) / n;
    sums[kGapFloor] += (a.gap[i] <= kGapFloorValue) / n;
  }
}

inline void ConservativeLoss(const ConservativeLossArgs& a) {
  const int64_t fan = 3 * a.n;
  double difference = a.first ? 0 : a.tally->conservative;
  for (int64_t s = 0; s < a.states; ++s) {
    Numbers v;
    double highest = -INFINITY, sum = 0;
    for (int64_t k = 0; k < fan; ++k) {
      const int64_t kind = k / a.n, at = s * a.n + k % a.n;
      const double log_prob =
          kind == 0 ? -double(a.actions) * std::log(2.0) : double(a.log_prob[kind - 1][at]);
      v.push_back((a.q[s * fan + k] - log_prob) / a.temperature);
      highest = std::max(highest, v.back());
    }
    for (double x : v) sum += std::exp(x - highest);
    for (int64_t k = 0; k < fan; ++k) {
      const double probability = std::exp(v[size_t(k)] - highest) / sum;
      a.d[s * fan + k] = probability < 1e-20 ? 0 : float(a.weight * a.share * probability);
    }
    difference += a.share * (a.temperature * (highest + std::log(sum)) - a.q_data[s]);
  }
  a.tally->conservative = difference;
}

inline void CriticLoss(const CriticLossArgs& a) {
  const int64_t real = a.real_rows, sim = a.rows - real;
  double bellman = 0, difference = 0, mean_real = 0, pushed = 0, exps = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const double c = a.coefficient ? double(a.coefficient[r]) : 1 / double(a.rows);
    const double error = double(a.q[r]) - a.target[r];
    bellman += c * error * error;
    double d = 2 * c * error;
    if (a.penalty == CriticPenalty::kCql) d -= a.weight / double(a.rows);
    a.d_q[r] = float(d);
  }
  const bool linear = a.penalty == CriticPenalty::kH2oLinear;
  if (a.penalty == CriticPenalty::kCql) difference = a.tally->conservative;
  if (linear || a.penalty == CriticPenalty::kH2o) {
    for (int64_t r = 0; r < real; ++r) mean_real += a.q[r] / double(real);
    for (int64_t i = 0; i < sim; ++i) {
      pushed += std::exp(a.log_omega[i]) * a.q[real + i];
      exps += std::exp(a.log_omega[i] + a.q[real + i]);
    }
    difference = (linear ? pushed : std::log(exps)) - mean_real;
    const bool inside = std::abs(difference) <= a.limit;
    for (int64_t r = 0; inside && r < a.rows; ++r) {
      const int64_t i = r - real;
      const double share = i < 0    ? -1 / double(real)
                           : linear ? std::exp(a.log_omega[i])
                                    : std::exp(a.log_omega[i] + a.q[r]) / exps;
      if (i < 0 || share >= 1e-20) a.d_q[r] = float(double(a.d_q[r]) + a.weight * share);
    }
    difference = std::clamp(difference, -double(a.limit), double(a.limit));
  }
  const double loss = bellman + a.weight * difference;
  double* sums = a.tally->sums;
  sums[kBellmanLoss] += bellman;
  sums[kPenalty] += difference / 2;
  NoteFailure(a.tally, a.update, loss);
  if (a.critic > 0) {
    sums[kCriticLoss] += a.tally->critic_loss + loss;
    return;
  }
  a.tally->critic_loss = loss;
  for (int64_t r = 0; r < a.rows; ++r)
    sums[r < real ? kQReal : kQSim] += a.q[r] / double(r < real ? real : sim);
}

}  // namespace alignlab::reference
