#include "control/member.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.h"

namespace alignlab {

namespace {

constexpr float kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-8f;  // torch.optim.Adam's
constexpr int64_t kChunkRows = 512;  // activations of a layer of 256 stay in a second-level cache

int64_t Widest(const ControlSettings& s) {
  int64_t widest = 1;
  for (int64_t width : s.hidden) widest = std::max(widest, width);
  for (int64_t width : s.discriminators.hidden) widest = std::max(widest, width);
  return widest;
}

}  // namespace

ControlLayout::ControlLayout(const ControlSettings& s, int64_t panel) {
  policy = MlpLayout(0, panel, s.state_size, s.hidden, 2 * s.action_size);
  policy_scalars = policy.end;
  policy_end = critics_begin = policy.end + 16;
  int64_t at = critics_begin;
  for (MlpLayout& q : critic) {
    q = MlpLayout(at, panel, s.state_size + s.action_size, s.hidden, 1);
    at = q.end;
  }
  critics_end = alpha = at;
  discs_begin = discs_end = total = alpha + 16;
  if (!s.has_discriminators()) return;
  const auto& hidden = s.discriminators.hidden;
  disc_sa = MlpLayout(discs_begin, panel, s.state_size + s.action_size, hidden, 2);
  disc_sas = MlpLayout(disc_sa.end, panel, 2 * s.state_size + s.action_size, hidden, 2);
  discs_end = total = disc_sas.end;
}

void Workspace::Plan(Carver& carver, const ControlSettings& s, const ControlLayout& layout) {
  const DType f32 = DType::kF32;
  const TransitionShape shape{s.state_size, s.action_size};
  const int64_t inputs = shape.next(), all = 2 * s.state_size + s.action_size;
  const bool discs = s.has_discriminators();
  const int64_t disc_count = discs ? 2 * s.discriminators.batch : 0;
  const int64_t fan = 3 * s.cql.actions;
  chunk = std::max(kChunkRows, s.h2o.next_samples + 1);
  if (fan > 0) chunk = std::max<int64_t>(1, kChunkRows / fan) * fan;
  const int64_t rows = std::max({s.batch, disc_count, chunk});
  const std::vector<int64_t>& hidden = s.hidden;
  gradients = carver.Take<float>(layout.total);
  batch = carver.Matrix(f32, s.batch, shape.width());
  disc_rows = carver.Matrix(f32, disc_count, shape.width());
  disc_inputs = carver.Matrix(f32, disc_count, all);
  policy = MlpActivations::Plan(carver, std::max(s.batch, chunk), hidden, 2 * s.action_size);
  for (MlpActivations& set : sets) {
    std::vector<int64_t> widths = hidden;
    if (discs) {
      widths.resize(std::max(widths.size(), s.discriminators.hidden.size()), 1);
      for (size_t l = 0; l < s.discriminators.hidden.size(); ++l)
        widths[l] = std::max(widths[l], s.discriminators.hidden[l]);
    }
    set = MlpActivations::Plan(carver, rows, widths, 2);
  }
  next_outputs = carver.Matrix(f32, s.batch, 2 * s.action_size);
  for (float*& matrix : d) matrix = carver.Take<float>(rows * Widest(s));
  for (Tensor& matrix : d_out) matrix = carver.Matrix(f32, rows, 2);
  d_policy = carver.Matrix(f32, s.batch, 2 * s.action_size);
  this->inputs = carver.Matrix(f32, s.batch, inputs);
  d_inputs = carver.Matrix(f32, s.batch, inputs);
  const int64_t action_values = std::max(s.batch, chunk) * s.action_size;
  noise =
      carver.Take<float>(std::max({action_values, disc_count * all,
                                   s.sim_rows() * s.h2o.next_samples * s.state_size, chunk * all}));
  std_dev = carver.Take<float>(action_values);
  log_prob = carver.Take<float>(s.batch);
  next_log_prob = carver.Take<float>(s.batch);
  target = carver.Take<float>(s.batch);
  actions = carver.Matrix(f32, std::max(s.batch, chunk), s.action_size);
  for (float*& values : q) values = carver.Take<float>(std::max(s.batch, chunk));
  coefficient = carver.Take<float>(s.batch);
  log_ratio = carver.Take<float>(s.batch);
  gap = carver.Take<float>(s.batch);
  log_omega = carver.Take<double>(s.batch);
  ratio_inputs = carver.Matrix(f32, discs ? chunk : 0, all);
  cql_actions = carver.Matrix(f32, s.batch * fan, s.action_size);
  cql_log_prob = carver.Take<float>(s.batch * fan);
  cql_noise = carver.Take<float>(s.batch * s.cql.actions * s.action_size);
  cql_draw_log_prob = carver.Take<float>(s.batch * s.cql.actions);
  cql_inputs = carver.Matrix(f32, fan > 0 ? chunk : 0, inputs);
}

ControlMember::ControlMember(const Compute& compute, const ControlShared& shared, uint64_t seed)
    : shared_(shared),
      seed_(seed),
      sim_(shared.shape, std::max<int64_t>(1, shared.settings.sim_capacity),
           "the simulated transitions of a control learner") {
  const ControlLayout& layout = shared.layout;
  const ControlSettings& s = shared.settings;
  const size_t bytes = size_t(layout.total) * 4;
  const size_t critics = size_t(layout.critics_end - layout.critics_begin) * 4;
  weights_ = Buffer(bytes, "the networks of a control learner");
  moment1_ = Buffer(bytes, "the moments of a control learner");
  moment2_ = Buffer(bytes, "the moments of a control learner");
  target_ = Buffer(critics, "the target networks of a control learner");
  float* at = parameters();
  const auto start = [&](const MlpLayout& mlp, MlpStart how, uint32_t number) {
    Initialize(compute, mlp, how, seed, Purpose(ControlStream::kInitialise) + number, at);
  };
  start(layout.policy, MlpStart::kSmallLast, 0);
  at[layout.policy_scalars] = 1;       // m
  at[layout.policy_scalars + 1] = -1;  // b
  for (uint32_t i = 0; i < 2; ++i) start(layout.critic[i], MlpStart::kSmallLast, 1 + i);
  at[layout.alpha] = std::log(s.initial_alpha);
  if (s.has_discriminators()) {
    start(layout.disc_sa, MlpStart::kTorch, 3);
    start(layout.disc_sas, MlpStart::kTorch, 4);
  }
  std::memcpy(target(), at + layout.critics_begin, critics);
}

size_t ControlMember::bytes() const {
  return weights_.bytes() + target_.bytes() + moment1_.bytes() + moment2_.bytes() + sim_.bytes();
}

void ControlMember::Normals(Call& call, ControlStream stream, float* out, int64_t n) const {
  call.compute.control->normals(call.compute.device,
                                {seed_, uint64_t(step), Purpose(stream), out, n});
}

void ControlMember::DrawBatch(Call& call) {
  const ControlSettings& s = shared_.settings;
  const size_t bytes = size_t(shared_.shape.width()) * 4;
  for (int64_t i = 0; i < s.batch; ++i) {
    const Replay& from = i < s.real_rows ? *shared_.real : sim_;
    const int64_t chosen = DrawIndex(seed_, ControlStream::kBatch, uint64_t(step), i, from.size());
    std::memcpy(call.w.batch.f32() + i * call.w.batch.stride, from.row(chosen), bytes);
  }
}

void ControlMember::Step(Call& call, int64_t begin, int64_t end, float rate, float* target) {
  float* g = call.w.gradients + begin;
  if (gradient_copy) std::memcpy(gradient_copy + begin, g, size_t(end - begin) * 4);
  const double t = double(step + 1);
  call.compute.control->adam(
      call.compute.device,
      {parameters() + begin, g, moment1() + begin, moment2() + begin, target, end - begin, rate,
       kBeta1, kBeta2, kEpsilon, float(1 - std::pow(double(kBeta1), t)),
       float(1 - std::pow(double(kBeta2), t)), shared_.settings.target_rate});
}

// Called before weights change; gradients are left as the next update expects them.
void ControlMember::RequireFinite(Call& call, double loss) const {
  if (std::isfinite(loss)) return;
  std::memset(call.w.gradients, 0, size_t(shared_.layout.total) * 4);
  throw Error("NON_FINITE", "A loss of the learner with seed " + std::to_string(seed_) +
                                " is not finite at update " + std::to_string(step + 1) +
                                "; the update was left out. Restore an earlier state with a "
                                "lower learning rate, or look for huge rewards or states.");
}

// The order of the released code: discriminators step first; the losses of alpha, policy and
// critics are all taken at the old weights of the agent, and only then do these step.
void ControlMember::Update(const Compute& compute, Workspace& w, ControlMetrics& sums) {
  const ControlSettings& s = shared_.settings;
  const ControlLayout& layout = shared_.layout;
  Call call{compute, w, sums};
  call.alpha = std::exp(double(parameters()[layout.alpha]));
  if (s.has_discriminators()) {
    TrainDiscriminators(call);
    Step(call, layout.discs_begin, layout.discs_end, s.discriminators.learning_rate, nullptr);
  }
  DrawBatch(call);
  WeighSimulated(call);
  ActorGradient(call);
  Targets(call);
  CriticGradients(call);
  RequireFinite(call, call.policy_loss + call.critic_loss);
  if (s.train_alpha) {
    AlphaGradient(call);
    Step(call, layout.alpha, layout.alpha + 16, s.alpha_rate, nullptr);
  }
  Step(call, layout.policy.begin, layout.policy_end, s.policy_rate, nullptr);
  Step(call, layout.critics_begin, layout.critics_end, s.critic_rate, target());
  ++step;
}

}  // namespace alignlab
