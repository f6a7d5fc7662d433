// Telling real transitions from simulated ones, and what follows from it: the dynamics ratio r, the
// importance weight w, the dynamics gap u and its distribution omega over simulated rows.
//   z1 = c tanh f_sa(s, a),  z2 = c tanh f_sas(s, a, s')      (two logits each: real, simulated)
//   L_sa = mean_real softplus(d1) + mean_sim softplus(-d1),  d1 = z1[sim] - z1[real]
//   L_sas likewise with d1 + d2; its gradient reaches both networks
//   ln r = ln P_real(s'|s,a) / P_sim(s'|s,a) = z2[real] - z2[sim]        (z1 cancels)
#include <algorithm>

#include "control/member.h"

namespace alignlab {

// One draw of `batch` real and as many simulated transitions, apart from the agent's; noise N(0,
// noise^2) on every input, the same for both networks.
void ControlMember::TrainDiscriminators(Call& call) {
  Workspace& w = call.w;
  const auto& s = shared_.settings.discriminators;
  const ControlLayout& layout = shared_.layout;
  const int64_t rows = 2 * s.batch;
  if (s.noise > 0)
    Normals(call, ControlStream::kDiscriminatorNoise, w.noise, rows * w.disc_inputs.cols);
  call.control().draw_rows(
      call.device(), {seed_, uint64_t(step), Purpose(ControlStream::kDiscriminatorBatch),
                      shared_.real->ring(), sim_.ring(), s.batch, w.disc_inputs, shared_.shift(),
                      shared_.scale(), s.noise > 0 ? w.noise : nullptr, s.noise});
  const MlpLayout* nets[2] = {&layout.disc_sa, &layout.disc_sas};
  const Tensor x[2] = {Columns(w.disc_inputs, 0, shared_.shape.next()), w.disc_inputs};
  MlpActivations a[2];
  for (int k = 0; k < 2; ++k) {
    a[k] = w.sets[k].For(*nets[k], rows);
    Forward(call.compute, *nets[k], parameters(), x[k], a[k]);
  }
  call.control().discriminator_loss(call.device(), {{a[0].out.f32(), a[1].out.f32()},
                                                    s.batch,
                                                    s.logit_scale,
                                                    {w.d_out[0].f32(), w.d_out[1].f32()},
                                                    tally(),
                                                    update()});
  for (int k = 0; k < 2; ++k)
    Backward(call.compute, *nets[k], parameters(), w.gradients, x[k], a[k],
             Rows(w.d_out[k], 0, rows), w.d, {});
}

// ln r at `count` recorded transitions and, with next_samples > 0,
//   u = clamp(mean_k -ln r(s, a, s' + xi_k sigma), 1e-30, gap_high),  xi_k ~ N(0, I)
// into the workspace.
void ControlMember::LogRatios(Call& call, const float* rows, int64_t count, int64_t next_samples,
                              ControlStream stream, uint64_t at) {
  Workspace& w = call.w;
  const TransitionShape& shape = shared_.shape;
  const MlpLayout& layout = shared_.layout.disc_sas;
  const int64_t each = next_samples + 1, block = w.pass / each;
  if (next_samples > 0)
    call.control().normals(
        call.device(), {seed_, at, Purpose(stream), w.noise, count * next_samples * shape.state});
  for (int64_t first = 0; first < count; first += block) {
    const int64_t n = std::min(block, count - first);
    const Tensor from{const_cast<float*>(rows + first * shape.width()), DType::kF32, n,
                      shape.inputs(), shape.width()};
    const Tensor x = Rows(w.ratio_inputs, 0, n * each);
    call.control().ratio_inputs(
        call.device(),
        {from, shape.state, next_samples, w.noise + first * next_samples * shape.state,
         shared_.spread(), shared_.shift(), shared_.scale(), x});
    MlpActivations a = w.sets[0].For(layout, n * each);
    Forward(call.compute, layout, parameters(), x, a);
    call.control().log_ratios(
        call.device(), {a.out.f32(), n, next_samples, shared_.settings.discriminators.logit_scale,
                        shared_.settings.h2o.gap_high, w.log_ratio + first, w.gap + first});
  }
}

// The weight of each row's squared error; for H2O with the importance weights
//   real: 1 / rows,  simulated: w / rows,  w = clamp(r, ratio_low, ratio_high)
// and ln omega = ln u - ln sum u. All u at the floor gives the uniform distribution.
void ControlMember::WeighSimulated(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const H2oSettings& h = s.h2o;
  const bool h2o = s.algorithm == ControlAlgorithm::kH2o;
  const bool gaps = h2o && h.adaptive && h.penalty;
  LogRatios(call, w.batch.f32() + s.real_rows * w.batch.stride, s.sim_rows(),
            gaps ? h.next_samples : 0, ControlStream::kNextStates, uint64_t(step));
  call.control().weigh(call.device(),
                       {w.log_ratio, gaps ? w.gap : nullptr, s.real_rows, s.sim_rows(),
                        2 * s.discriminators.logit_scale, h.ratio_low, h.ratio_high, h.importance,
                        h2o ? w.coefficient : nullptr, w.log_omega, tally()});
}

}  // namespace alignlab
