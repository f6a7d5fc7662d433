// A tiny learner with the numbers of its next update, and the comparison of its gradients with
// finite differences.
#pragma once

#include <deque>

#include "control/learner.h"
#include "reference/control.h"
#include "test/harness.h"
#include "test/transitions.h"

namespace alignlab::test {

using reference::Numbers;

constexpr int64_t kState = 3, kAction = 2;

inline ControlSettings Tiny(ControlAlgorithm algorithm) {
  ControlSettings s;
  s.algorithm = algorithm;
  s.state_size = kState;
  s.action_size = kAction;
  s.hidden = {5, 4};
  s.batch = 9;
  const bool real_only = algorithm == ControlAlgorithm::kCql;
  const bool sim_only = algorithm == ControlAlgorithm::kSac || algorithm == ControlAlgorithm::kDarc;
  s.real_rows = real_only ? 9 : sim_only ? 0 : 4;
  s.policy_rate = s.critic_rate = s.alpha_rate = 1e-2f;
  s.discount = 0.9f;
  s.target_rate = 0.05f;
  s.backup_entropy = sim_only || algorithm == ControlAlgorithm::kDarcPlus;
  s.target_entropy = -2;
  s.darc_clip = 0.5f;  // below the logits' reach, so that some rewards are clipped
  s.discriminators = {{7}, 5, 1e-2f, 0.1f, 2, false};
  s.h2o.beta = 0.7f;
  s.h2o.next_samples = 3;
  s.h2o.ratio_low = 1e-5f;
  s.h2o.ratio_high = 1;
  s.h2o.gap_high = 10;
  s.h2o.difference_limit = 1000;
  s.cql = {1.5f, 0.7f, real_only ? 2 : 0};
  s.seeds = {78};
  s.sim_capacity = 40;
  return s;
}

struct Columns : Transitions {
  Columns(int64_t n, uint64_t seed, double shift) {
    Random random(seed);
    states = random.Normals(n * kState, 1, shift);
    actions = random.Normals(n * kAction, 0.5);
    for (float& a : actions) a = std::tanh(a);
    rewards = random.Normals(n);
    next = random.Normals(n * kState, 1, -shift);
    for (int64_t i = 0; i < n; ++i) terminal.push_back(i % 4 == 0);
  }
};

// One learner, and the numbers of its next update as the definitions have them.
class Subject {
 public:
  // log_std_scale: m of the policy.
  Subject(const ControlSettings& settings, const Backend& table, float log_std_scale)
      : s(settings),
        backend(table),
        lane(table.device),
        real(s.needs_real() ? 20 : 0, 1, 0.2),
        sim(30, 2, -0.2),
        learner(table, table.device, settings, real.view()) {
    learner.Push(0, sim.view());
    ControlMember& m = learner.member(0);
    const ControlLayout& l = learner.layout();
    std::vector<float> weights = Host(m.parameters(), l.total);
    std::vector<float> target = Host(m.target(), l.critics_end - l.critics_begin);
    Random random(3);
    // Larger last layers than a learner starts with, so that every term of a loss counts.
    for (const MlpLayout* net : Networks()) {
      std::vector<float> plain = random.Normals(PlainElements(*net), 0.5);
      FromPlain(*net, backend.panel, plain.data(), weights.data());
    }
    for (const MlpLayout& net : l.critic) {
      std::vector<float> plain = random.Normals(PlainElements(net), 0.5);
      FromPlain(net, backend.panel, plain.data(), target.data() - l.critics_begin);
    }
    weights[size_t(l.policy_scalars)] = log_std_scale;
    weights[size_t(l.policy_scalars) + 1] = -0.6f;
    weights[size_t(l.alpha)] = -1.2f;
    backend.memory.copy_in(backend.device, m.parameters(), weights.data(), weights.size() * 4);
    backend.memory.copy_in(backend.device, m.target(), target.data(), target.size() * 4);
    device_gradients = Buffer(backend, size_t(l.total) * 4, "gradients");
    m.gradient_copy = device_gradients.f32();
  }

  // A copy of the device's numbers.
  std::vector<float> Host(const float* device, int64_t count) const {
    std::vector<float> out(static_cast<size_t>(count));
    backend.memory.copy_out(backend.device, out.data(), device, out.size() * 4);
    return out;
  }
  std::vector<const MlpLayout*> Networks() const {
    const ControlLayout& l = learner.layout();
    std::vector<const MlpLayout*> nets{&l.policy, &l.critic[0], &l.critic[1]};
    if (s.has_discriminators()) nets.insert(nets.end(), {&l.disc_sa, &l.disc_sas});
    return nets;
  }
  void Update() {
    CancelToken never;
    metrics = learner.Update(1, lane, never)[0];
    gradients = Host(device_gradients.f32(), learner.layout().total);
  }
  // flat: the host's, as the parameters lie.
  Numbers Plain(const MlpLayout& net, const float* flat) const {
    std::vector<float> plain(size_t(PlainElements(net)));
    ToPlain(net, backend.panel, flat, plain.data());
    return Numbers(plain.begin(), plain.end());
  }
  Numbers Weights(const MlpLayout& net) {
    return Plain(net, Host(learner.member(0).parameters(), learner.layout().total).data());
  }
  Numbers Gradient(const MlpLayout& net) const { return Plain(net, gradients.data()); }

  // Rows of the update's draws.
  std::vector<const float*> Draw(ControlStream stream, int64_t count, int64_t real_rows) {
    ControlMember& m = learner.member(0);
    std::vector<const float*> rows;
    for (int64_t i = 0; i < count; ++i) {
      const Replay& from = i < real_rows ? learner.real() : m.sim();
      std::vector<float>& row = drawn.emplace_back(size_t(from.shape().width()));
      from.Read(DrawIndex(m.seed(), Purpose(stream), uint64_t(m.step), i, from.size()), 1,
                row.data());
      rows.push_back(row.data());
    }
    return rows;
  }
  double Normal(ControlStream stream, int64_t i) {
    ControlMember& m = learner.member(0);
    return reference::Normal({m.seed(), uint64_t(m.step), Purpose(stream), nullptr, 0}, i);
  }

  ControlSettings s;
  const Backend& backend;
  SingleLane lane;
  Columns real, sim;
  ControlLearner learner;
  Buffer device_gradients;
  std::vector<float> gradients;  // of the last update
  ControlMetrics metrics;
  std::deque<std::vector<float>> drawn;  // what Draw has returned
};

inline std::vector<int64_t> Sizes(const MlpLayout& net) {
  std::vector<int64_t> sizes{net.in()};
  for (const auto& layer : net.layers) sizes.push_back(layer.out);
  return sizes;
}

// Central differences; h is far above the double's rounding and below the distance to most kinks.
template <class Loss>
void ExpectGradient(const char* what, const Numbers& at, const Numbers& actual, const Loss& loss) {
  constexpr double kStep = 1e-6;
  double largest = 0, worst = 0;
  Numbers x = at;
  for (size_t i = 0; i < at.size(); ++i) {
    x[i] = at[i] + kStep;
    const double up = loss(x);
    x[i] = at[i] - kStep;
    const double expected = (up - loss(x)) / (2 * kStep);
    x[i] = at[i];
    largest = std::max(largest, std::abs(expected));
    worst = std::max(worst, std::abs(expected - actual[i]));
  }
  // Differences of double losses are good to 1e-9; the rest is single precision: sums over a few
  // dozen products, through three layers.
  EXPECT_MESSAGE(
      worst <= 2e-5 * std::max(largest, 0.1),
      std::string(what) + " worst " + std::to_string(worst) + " of " + std::to_string(largest));
  EXPECT_MESSAGE(largest > 1e-4, std::string(what) + " is not exercised");
}

}  // namespace alignlab::test
