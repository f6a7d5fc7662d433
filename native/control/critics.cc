// The critics' losses.
//   all:  sum_rows c (Q - y)^2, with c of WeighSimulated and y of Targets
//   H2O:  + beta clamp( ln sum_sim omega e^Q - mean_real Q, +-limit ),  or with the linear variant
//         sum_sim omega Q in place of the logarithm
//   CQL:  conservative.cc
#include <algorithm>
#include <cmath>

#include "control/member.h"

namespace alignlab {

namespace {

// Shares below this move no weight and would only breed denormals on the way back.
constexpr double kSmallestShare = 1e-20;

}  // namespace

// Adds beta d penalty / d q to d_q; returns the penalty before beta.
double ControlMember::PenaltyGradient(Call& call, const float* q, float* d_q) {
  const ControlSettings& s = shared_.settings;
  const H2oSettings& h = s.h2o;
  const int64_t real = s.real_rows, sim = s.sim_rows();
  const float* q_sim = q + real;
  const double* log_omega = call.w.log_omega;
  double mean_real = 0, pushed = 0, sum = 0, highest = -INFINITY;
  for (int64_t r = 0; r < real; ++r) mean_real += q[r] / double(real);
  for (int64_t i = 0; i < sim; ++i) {
    pushed += std::exp(log_omega[i]) * q_sim[i];
    highest = std::max(highest, q_sim[i] + log_omega[i]);
  }
  for (int64_t i = 0; i < sim; ++i) sum += std::exp(q_sim[i] + log_omega[i] - highest);
  const double log_sum = highest + std::log(sum);
  const double difference = (h.linear ? pushed : log_sum) - mean_real;
  if (!(std::abs(difference) <= h.difference_limit))
    return std::clamp(difference, -double(h.difference_limit), double(h.difference_limit));
  for (int64_t r = 0; r < real; ++r) d_q[r] -= float(h.beta / double(real));
  for (int64_t i = 0; i < sim; ++i) {
    const double share = std::exp(h.linear ? log_omega[i] : q_sim[i] + log_omega[i] - log_sum);
    if (share >= kSmallestShare) d_q[real + i] += float(h.beta * share);
  }
  return difference;
}

void ControlMember::CriticGradients(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const int64_t rows = s.batch, real = s.real_rows, sim = s.sim_rows();
  const Tensor x = Columns(w.batch, 0, shared_.shape.next());
  const bool penalty = s.algorithm == ControlAlgorithm::kH2o && s.h2o.penalty;
  const bool cql = s.algorithm == ControlAlgorithm::kCql;
  if (cql) ConservativeActions(call);
  for (int k = 0; k < 2; ++k) {
    const MlpLayout& layout = shared_.layout.critic[k];
    MlpActivations a = w.sets[0].For(layout, rows);
    Forward(call.compute, layout, parameters(), x, a);
    const float* q = a.out.f32();
    const Tensor d_q{w.d_out[0].data, DType::kF32, rows, 1, 1};
    double bellman = 0, difference = 0;
    for (int64_t r = 0; r < rows; ++r) {
      const double error = double(q[r]) - w.target[r];
      bellman += w.coefficient[r] * error * error;
      d_q.f32()[r] = float(2 * w.coefficient[r] * error);
    }
    if (penalty) difference = PenaltyGradient(call, q, d_q.f32());
    if (cql) difference = ConservativeGradient(call, k, q, d_q.f32());
    Backward(call.compute, layout, parameters(), w.gradients, x, a, d_q, w.d, {});
    const double weight = cql ? s.cql.weight : s.h2o.beta;
    call.critic_loss += bellman + (penalty || cql ? weight * difference : 0);
    call.sums[kBellmanLoss] += bellman;
    call.sums[kPenalty] += difference / 2;
    if (k > 0) continue;
    for (int64_t r = 0; r < rows; ++r)
      call.sums[r < real ? kQReal : kQSim] += q[r] / double(r < real ? real : sim);
  }
  call.sums[kCriticLoss] += call.critic_loss;
}

void ControlMember::Inspect(const Compute& compute, Workspace& w, const float* transitions,
                            int64_t rows, float* q1, float* q2, float* log_ratio, float* gap) {
  const ControlLayout& layout = shared_.layout;
  const TransitionShape& shape = shared_.shape;
  ControlMetrics unused{};
  Call call{compute, w, unused};
  const int64_t block = w.chunk / (shared_.settings.h2o.next_samples + 1);
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t n = std::min(block, rows - first);
    const float* from = transitions + first * shape.width();
    const Tensor x{const_cast<float*>(from), DType::kF32, n, shape.next(), shape.width()};
    for (int i = 0; i < 2; ++i) {
      MlpActivations a = w.sets[0].For(layout.critic[i], n);
      a.out = {(i == 0 ? q1 : q2) + first, DType::kF32, n, 1, 1};
      Forward(compute, layout.critic[i], parameters(), x, a);
    }
    if (shared_.settings.has_discriminators())
      LogRatios(call, from, n, shared_.settings.h2o.next_samples, ControlStream::kInspect,
                uint64_t(first), log_ratio + first, gap + first);
  }
}

}  // namespace alignlab
