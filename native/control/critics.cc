// The critics' losses.
//   all:  sum_rows c (Q - y)^2, with c of WeighSimulated and y of Targets
//   H2O:  + beta clamp( ln sum_sim omega e^Q - mean_real Q, +-limit ),  or with the linear variant
//         sum_sim omega Q in place of the logarithm
//   CQL:  conservative.cc
#include <algorithm>

#include "control/member.h"

namespace alignlab {

namespace {

CriticPenalty PenaltyOf(const ControlSettings& s) {
  if (s.algorithm == ControlAlgorithm::kCql) return CriticPenalty::kCql;
  if (s.algorithm != ControlAlgorithm::kH2o || !s.h2o.penalty) return CriticPenalty::kNone;
  return s.h2o.linear ? CriticPenalty::kH2oLinear : CriticPenalty::kH2o;
}

}  // namespace

void ControlMember::CriticGradients(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const Tensor x = Columns(w.batch, 0, shared_.shape.next());
  const bool cql = s.algorithm == ControlAlgorithm::kCql;
  const bool weighed = s.algorithm == ControlAlgorithm::kH2o;
  if (cql) ConservativeActions(call);
  for (int k = 0; k < 2; ++k) {
    const MlpLayout& layout = shared_.layout.critic[k];
    MlpActivations a = w.sets[0].For(layout, s.batch);
    Forward(call.compute, layout, parameters(), x, a);
    const Tensor d_q{w.d_out[0].data, DType::kF32, s.batch, 1, 1};
    if (cql) ConservativeGradient(call, k, a.out.f32());
    call.control().critic_loss(
        call.device(), {k, a.out.f32(), w.target, weighed ? w.coefficient : nullptr, s.batch,
                        s.real_rows, PenaltyOf(s), cql ? s.cql.weight : s.h2o.beta,
                        s.h2o.difference_limit, w.log_omega, d_q.f32(), tally(), update()});
    Backward(call.compute, layout, parameters(), w.gradients, x, a, d_q, w.d, {});
  }
}

void ControlMember::Inspect(const Compute& compute, Workspace& w, const float* transitions,
                            int64_t rows, float* q1, float* q2, float* log_ratio, float* gap) {
  const ControlLayout& layout = shared_.layout;
  const TransitionShape& shape = shared_.shape;
  const int64_t samples = shared_.settings.h2o.next_samples;
  Call call{compute, w};
  const int64_t block = w.chunk / (samples + 1);
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t n = std::min(block, rows - first);
    const float* from = transitions + first * shape.width();
    const Tensor x{const_cast<float*>(from), DType::kF32, n, shape.next(), shape.width()};
    for (int i = 0; i < 2; ++i) {
      MlpActivations a = w.sets[0].For(layout.critic[i], n);
      Forward(compute, layout.critic[i], parameters(), x, a);
      compute.CopyOut((i == 0 ? q1 : q2) + first, a.out.data, n * 4);
    }
    if (!shared_.settings.has_discriminators()) continue;
    LogRatios(call, from, n, samples, ControlStream::kInspect, uint64_t(first));
    compute.CopyOut(log_ratio + first, w.log_ratio, n * 4);
    if (samples > 0) compute.CopyOut(gap + first, w.gap, n * 4);
  }
}

}  // namespace alignlab
