// Telling real transitions from simulated ones, and what follows from it: the dynamics ratio r, the
// importance weight w, the dynamics gap u and its distribution omega over simulated rows.
//   z1 = c tanh f_sa(s, a),  z2 = c tanh f_sas(s, a, s')      (two logits each: real, simulated)
//   L_sa = mean_real softplus(d1) + mean_sim softplus(-d1),  d1 = z1[sim] - z1[real]
//   L_sas likewise with d1 + d2; its gradient reaches both networks
//   ln r = ln P_real(s'|s,a) / P_sim(s'|s,a) = z2[real] - z2[sim]        (z1 cancels)
#include <algorithm>
#include <cmath>
#include <cstring>

#include "control/member.h"

namespace alignlab {

namespace {

double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// The released code clamps u at 1e-45, a denormal; this floor is as far below any other value.
constexpr float kGapFloorValue = 1e-30f;

// d f = d z c (1 - tanh^2), z = c tanh f
float ThroughTanh(double d_z, float z, float c) { return float(d_z * (c - double(z) * z / c)); }

}  // namespace

// One draw of `batch` real and as many simulated transitions, apart from the agent's; noise N(0,
// noise^2) on every input, the same for both networks.
void ControlMember::TrainDiscriminators(Call& call) {
  Workspace& w = call.w;
  const auto& s = shared_.settings.discriminators;
  const ControlLayout& layout = shared_.layout;
  const TransitionShape& shape = shared_.shape;
  const int64_t rows = 2 * s.batch, inputs = w.disc_inputs.cols;
  if (s.noise > 0) Normals(call, ControlStream::kDiscriminatorNoise, w.noise, rows * inputs);
  for (int64_t i = 0; i < rows; ++i) {
    const Replay& from = i < s.batch ? *shared_.real : sim_;
    const float* row = from.row(
        DrawIndex(seed_, ControlStream::kDiscriminatorBatch, uint64_t(step), i, from.size()));
    float* to = w.disc_inputs.f32() + i * inputs;
    for (int64_t c = 0; c < inputs; ++c)
      to[c] = (row[c] - shared_.statistics.shift[size_t(c)]) * shared_.statistics.scale[size_t(c)];
    if (s.noise > 0)
      for (int64_t c = 0; c < inputs; ++c) to[c] += s.noise * w.noise[i * inputs + c];
  }
  const MlpLayout* nets[2] = {&layout.disc_sa, &layout.disc_sas};
  const Tensor x[2] = {Columns(w.disc_inputs, 0, shape.next()), w.disc_inputs};
  MlpActivations a[2];
  for (int k = 0; k < 2; ++k) {
    a[k] = w.sets[k].For(*nets[k], rows);
    Forward(call.compute, *nets[k], parameters(), x[k], a[k]);
    call.compute.control->scaled_tanh(call.compute.device, s.logit_scale, a[k].out.f32(), 2 * rows);
  }
  double loss_sa = 0, loss_sas = 0;
  const double share = 1 / double(s.batch);
  for (int64_t i = 0; i < rows; ++i) {
    const float *z1 = a[0].out.f32() + 2 * i, *z2 = a[1].out.f32() + 2 * i;
    const bool sim = i >= s.batch;
    const double odds = double(z1[1]) - z1[0], next_odds = odds + z2[1] - z2[0];
    loss_sa += share * Softplus(sim ? -odds : odds);
    loss_sas += share * Softplus(sim ? -next_odds : next_odds);
    const double d2 = share * (Sigmoid(next_odds) - sim), d1 = d2 + share * (Sigmoid(odds) - sim);
    float *d_sa = w.d_out[0].f32() + 2 * i, *d_sas = w.d_out[1].f32() + 2 * i;
    d_sa[0] = ThroughTanh(-d1, z1[0], s.logit_scale);
    d_sa[1] = ThroughTanh(d1, z1[1], s.logit_scale);
    d_sas[0] = ThroughTanh(-d2, z2[0], s.logit_scale);
    d_sas[1] = ThroughTanh(d2, z2[1], s.logit_scale);
  }
  RequireFinite(call, loss_sa + loss_sas);
  for (int k = 0; k < 2; ++k)
    Backward(call.compute, *nets[k], parameters(), w.gradients, x[k], a[k],
             Rows(w.d_out[k], 0, rows), w.d, {});
  call.sums[kDiscLoss] += loss_sa;
  call.sums[kDiscNextLoss] += loss_sas;
}

// ln r at `count` recorded transitions and, with next_samples > 0,
//   u = clamp(mean_k -ln r(s, a, s' + xi_k sigma), 1e-30, gap_high),  xi_k ~ N(0, I)
void ControlMember::LogRatios(Call& call, const float* rows, int64_t count, int64_t next_samples,
                              ControlStream stream, uint64_t at, float* log_ratio, float* gap) {
  Workspace& w = call.w;
  const TransitionShape& shape = shared_.shape;
  const auto& statistics = shared_.statistics;
  const int64_t states = shape.state, inputs = w.ratio_inputs.cols, each = next_samples + 1;
  if (next_samples > 0)
    call.compute.control->normals(
        call.compute.device, {seed_, at, Purpose(stream), w.noise, count * next_samples * states});
  const int64_t block = w.chunk / each;
  for (int64_t first = 0; first < count; first += block) {
    const int64_t n = std::min(block, count - first);
    float* to = w.ratio_inputs.f32();
    for (int64_t i = 0; i < n * each; ++i, to += inputs) {
      const int64_t transition = first + i / each, sample = i % each - 1;
      const float* row = rows + transition * shape.width();
      std::memcpy(to, row, size_t(inputs) * 4);
      const float* xi = w.noise + (transition * next_samples + sample) * states;
      if (sample >= 0)
        for (int64_t c = 0; c < states; ++c)
          to[shape.next() + c] += xi[c] * statistics.next_spread[size_t(c)];
      for (int64_t c = 0; c < inputs; ++c)
        to[c] = (to[c] - statistics.shift[size_t(c)]) * statistics.scale[size_t(c)];
    }
    MlpActivations a = w.sets[0].For(shared_.layout.disc_sas, n * each);
    Forward(call.compute, shared_.layout.disc_sas, parameters(), Rows(w.ratio_inputs, 0, n * each),
            a);
    const float c = shared_.settings.discriminators.logit_scale;
    call.compute.control->scaled_tanh(call.compute.device, c, a.out.f32(), 2 * n * each);
    for (int64_t i = 0; i < n; ++i) {
      const float* z = a.out.f32() + 2 * i * each;
      log_ratio[first + i] = z[0] - z[1];
      double sum = 0;
      for (int64_t k = 1; k < each; ++k) sum += double(z[2 * k + 1]) - z[2 * k];
      if (next_samples > 0)
        gap[first + i] = std::clamp(float(sum / double(next_samples)), kGapFloorValue,
                                    shared_.settings.h2o.gap_high);
    }
  }
}

// The weight of each row's squared error; for H2O with the importance weights
//   real: 1 / rows,  simulated: w / rows,  w = clamp(r, ratio_low, ratio_high)
// and ln omega = ln u - ln sum u. All u at the floor gives the uniform distribution.
void ControlMember::WeighSimulated(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const int64_t real = s.real_rows, sim = s.sim_rows();
  std::fill(w.coefficient, w.coefficient + s.batch, 1 / float(s.batch));
  if (!s.has_discriminators()) return;
  const H2oSettings& h = s.h2o;
  const bool h2o = s.algorithm == ControlAlgorithm::kH2o;
  const bool gaps = h2o && h.adaptive && h.penalty;
  LogRatios(call, w.batch.f32() + real * w.batch.stride, sim, gaps ? h.next_samples : 0,
            ControlStream::kNextStates, uint64_t(step), w.log_ratio, w.gap);
  const double floor = -0.95 * 2 * s.discriminators.logit_scale, share = 1 / double(sim);
  for (int64_t i = 0; i < sim; ++i) {
    const float ratio = std::clamp(std::exp(w.log_ratio[i]), h.ratio_low, h.ratio_high);
    call.sums[kRatio] += share * ratio;
    call.sums[kRootRatio] += share * std::sqrt(ratio);
    call.sums[kRatioFloor] += share * (w.log_ratio[i] < floor);
    if (h2o) w.coefficient[real + i] = (h.importance ? ratio : 1.0f) / float(sim);
  }
  if (!h2o) return;
  std::fill(w.coefficient, w.coefficient + real, 1 / float(real));
  double total = 0;
  for (int64_t i = 0; i < sim; ++i) total += gaps ? double(w.gap[i]) : 1.0;
  for (int64_t i = 0; i < sim; ++i) {
    w.log_omega[i] = (gaps ? std::log(double(w.gap[i])) : 0.0) - std::log(total);
    if (!gaps) continue;
    call.sums[kGap] += share * w.gap[i];
    call.sums[kGapFloor] += share * (w.gap[i] <= kGapFloorValue);
  }
}

}  // namespace alignlab
