#include "control/member.h"

#include <algorithm>
#include <cmath>

namespace alignlab {

namespace {

constexpr float kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-8f;  // torch.optim.Adam's
constexpr int64_t kChunkRows = 512;    // activations of a layer of 256 stay in a second-level cache
constexpr int64_t kDeviceRows = 8192;  // enough to fill a GPU, and few launches

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

void Workspace::Plan(Carver& carver, const ControlSettings& s, const ControlLayout& layout,
                     bool host) {
  const DType f32 = DType::kF32;
  const TransitionShape shape{s.state_size, s.action_size};
  const bool discs = s.has_discriminators();
  const int64_t disc_count = discs ? 2 * s.discriminators.batch : 0, actions = s.action_size;
  const int64_t fan = 3 * s.cql.actions, unit = fan > 0 ? fan : s.h2o.next_samples + 1;
  const auto rows_for = [&](int64_t about) {
    return fan > 0 ? std::max<int64_t>(1, about / fan) * fan : std::max(about, unit);
  };
  chunk = rows_for(kChunkRows);
  // No more than there are in a batch.
  pass = host ? chunk : std::min(rows_for(kDeviceRows), std::max(chunk, s.batch * unit));
  const int64_t rows = std::max({s.batch, disc_count, pass});
  const std::vector<int64_t>& hidden = s.hidden;
  gradients = carver.Take<float>(layout.total);
  batch = carver.Matrix(f32, s.batch, shape.width());
  disc_inputs = carver.Matrix(f32, disc_count, shape.inputs());
  policy = MlpActivations::Plan(carver, std::max(s.batch, chunk), hidden, 2 * actions);
  for (MlpActivations& set : sets) {
    std::vector<int64_t> widths = hidden;
    if (discs) {
      widths.resize(std::max(widths.size(), s.discriminators.hidden.size()), 1);
      for (size_t l = 0; l < s.discriminators.hidden.size(); ++l)
        widths[l] = std::max(widths[l], s.discriminators.hidden[l]);
    }
    set = MlpActivations::Plan(carver, rows, widths, 2);
  }
  next_outputs = carver.Matrix(f32, s.batch, 2 * actions);
  for (float*& matrix : d) matrix = carver.Take<float>(rows * Widest(s));
  for (Tensor& matrix : d_out) matrix = carver.Matrix(f32, rows, 2);
  d_policy = carver.Matrix(f32, s.batch, 2 * actions);
  inputs = carver.Matrix(f32, s.batch, shape.next());
  for (Tensor& matrix : d_inputs) matrix = carver.Matrix(f32, s.batch, shape.next());
  noise = carver.Take<float>(
      std::max({std::max(s.batch, chunk) * actions, disc_count * shape.inputs(),
                s.sim_rows() * s.h2o.next_samples * s.state_size, chunk * shape.inputs()}));
  std_dev = carver.Take<float>(s.batch * actions);
  log_prob = carver.Take<float>(s.batch);
  next_log_prob = carver.Take<float>(s.batch);
  target = carver.Take<float>(s.batch);
  coefficient = carver.Take<float>(s.batch);
  log_ratio = carver.Take<float>(std::max(s.batch, chunk));
  gap = carver.Take<float>(std::max(s.batch, chunk));
  log_omega = carver.Take<double>(s.batch);
  ratio_inputs = carver.Matrix(f32, discs ? pass : 0, shape.inputs());
  for (Tensor& drawn : cql_drawn) drawn = carver.Matrix(f32, s.batch * s.cql.actions, actions);
  for (float*& values : cql_log_prob) values = carver.Take<float>(s.batch * s.cql.actions);
  cql_inputs = carver.Matrix(f32, fan > 0 ? pass : 0, shape.next());
  states = carver.Matrix(f32, chunk, s.state_size);
  this->actions = carver.Matrix(f32, chunk, actions);
}

ControlMember::ControlMember(const Compute& compute, const ControlShared& shared, uint64_t seed)
    : shared_(shared),
      seed_(seed),
      sim_(*compute.backend, shared.shape, std::max<int64_t>(1, shared.settings.sim_capacity),
           "the simulated transitions of a control learner") {
  const ControlLayout& layout = shared.layout;
  const ControlSettings& s = shared.settings;
  const Backend& backend = *compute.backend;
  const int64_t bytes = layout.total * 4;
  const int64_t critics = (layout.critics_end - layout.critics_begin) * 4;
  weights_ = Buffer(backend, size_t(bytes), "the networks of a control learner");
  moment1_ = Buffer(backend, size_t(bytes), "the moments of a control learner");
  moment2_ = Buffer(backend, size_t(bytes), "the moments of a control learner");
  target_ = Buffer(backend, size_t(critics), "the target networks of a control learner");
  tally_ = Buffer(backend, sizeof(ControlTally), "the metrics of a control learner");
  std::vector<float> start(size_t(layout.total));
  float* at = start.data();
  const auto network = [&](const MlpLayout& mlp, MlpStart how, uint32_t number) {
    Initialize(compute, mlp, how, seed, Purpose(ControlStream::kInitialise) + number, at);
  };
  network(layout.policy, MlpStart::kSmallLast, 0);
  at[layout.policy_scalars] = 1;       // m
  at[layout.policy_scalars + 1] = -1;  // b
  for (uint32_t i = 0; i < 2; ++i) network(layout.critic[i], MlpStart::kSmallLast, 1 + i);
  at[layout.alpha] = std::log(s.initial_alpha);
  if (s.has_discriminators()) {
    network(layout.disc_sa, MlpStart::kTorch, 3);
    network(layout.disc_sas, MlpStart::kTorch, 4);
  }
  compute.CopyIn(parameters(), at, bytes);
  compute.CopyIn(target(), at + layout.critics_begin, critics);
}

size_t ControlMember::bytes() const {
  return weights_.bytes() + target_.bytes() + moment1_.bytes() + moment2_.bytes() + tally_.bytes() +
         sim_.bytes();
}

void ControlMember::StartTally(const Compute& compute) {
  compute.backend->memory.zero(compute.device, tally_.data(), sizeof(ControlTally));
}

bool ControlMember::TakeFailed(const Compute& compute) {
  int64_t failed = 0;
  compute.CopyOut(&failed, &tally()->failed, sizeof failed);
  if (failed != 0) step = failed - 1;
  return failed != 0;
}

ControlMetrics ControlMember::ReadSums(const Compute& compute) const {
  ControlMetrics sums;
  compute.CopyOut(sums.data(), tally()->sums, sizeof sums);
  return sums;
}

void ControlMember::Normals(Call& call, ControlStream stream, float* out, int64_t n) const {
  call.control().normals(call.device(), {seed_, uint64_t(step), Purpose(stream), out, n});
}

void ControlMember::DrawBatch(Call& call) {
  DrawRowsArgs draw{};
  draw.key = seed_;
  draw.step = uint64_t(step);
  draw.purpose = Purpose(ControlStream::kBatch);
  draw.real = shared_.real->ring();
  draw.sim = sim_.ring();
  draw.real_rows = shared_.settings.real_rows;
  draw.to = call.w.batch;
  call.control().draw_rows(call.device(), draw);
}

void ControlMember::Step(Call& call, int64_t begin, int64_t end, float rate, float* target) {
  float* g = call.w.gradients + begin;
  if (gradient_copy) call.compute.Copy(gradient_copy + begin, g, (end - begin) * 4);
  const double t = double(update());
  call.control().adam(
      call.device(),
      {parameters() + begin, g, moment1() + begin, moment2() + begin, target, tally(), end - begin,
       rate, kBeta1, kBeta2, kEpsilon, float(1 - std::pow(double(kBeta1), t)),
       float(1 - std::pow(double(kBeta2), t)), shared_.settings.target_rate});
}

// The order of the released code: discriminators step first; the losses of alpha, policy and
// critics are all taken at the old weights of the agent, and only then do these step.
void ControlMember::Update(const Compute& compute, Workspace& w) {
  const ControlSettings& s = shared_.settings;
  const ControlLayout& layout = shared_.layout;
  Call call{compute, w};
  if (s.has_discriminators()) {
    TrainDiscriminators(call);
    Step(call, layout.discs_begin, layout.discs_end, s.discriminators.learning_rate, nullptr);
  }
  DrawBatch(call);
  if (s.has_discriminators()) WeighSimulated(call);
  ActorGradient(call);
  Targets(call);
  CriticGradients(call);
  if (s.train_alpha) Step(call, layout.alpha, layout.alpha + 16, s.alpha_rate, nullptr);
  Step(call, layout.policy.begin, layout.policy_end, s.policy_rate, nullptr);
  Step(call, layout.critics_begin, layout.critics_end, s.critic_rate, target());
  ++step;
}

}  // namespace alignlab
