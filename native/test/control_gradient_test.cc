// The gradients of one update of every algorithm and ablation, on the CPU and on CUDA, against
// finite differences of the losses in plain double loops (native/reference/control.h), and the
// optimiser's step that follows.
#include "test/backends.h"
#include "test/control_subject.h"

using namespace alignlab;
using namespace alignlab::test;
using reference::Numbers;

namespace {

Numbers Inputs(const float* row, int64_t count) { return Numbers(row, row + count); }

struct Reference {
  Subject& t;
  ControlSettings s;
  TransitionShape shape{kState, kAction};
  TransitionStatistics statistics;

  explicit Reference(Subject& subject) : t(subject), s(subject.s) {
    if (s.has_discriminators())
      statistics =
          MeasureTransitions(t.learner.real(), s.h2o.next_spread, s.discriminators.normalize);
  }

  Numbers Standard(Numbers x) const {
    for (size_t c = 0; c < x.size(); ++c) x[c] = (x[c] - statistics.shift[c]) * statistics.scale[c];
    return x;
  }
  Numbers Logits(const MlpLayout& net, const double* weights, Numbers x) const {
    Numbers z = reference::Mlp(Sizes(net), weights, std::move(x));
    for (double& v : z) v = s.discriminators.logit_scale * std::tanh(v);
    return z;
  }

  void CheckDiscriminators(const Numbers& sa, const Numbers& sas) {
    const ControlLayout& l = t.learner.layout();
    const int64_t batch = s.discriminators.batch, all = 2 * kState + kAction;
    const auto rows = t.Draw(ControlStream::kDiscriminatorBatch, 2 * batch, batch);
    Numbers both = sa;
    both.insert(both.end(), sas.begin(), sas.end());
    Numbers actual = t.Gradient(l.disc_sa);
    const Numbers second = t.Gradient(l.disc_sas);
    actual.insert(actual.end(), second.begin(), second.end());
    const auto loss = [&](const Numbers& weights) {
      std::vector<Numbers> z1, z2;
      for (size_t r = 0; r < rows.size(); ++r) {
        Numbers x = Standard(Inputs(rows[r], all));
        for (int64_t c = 0; c < all; ++c)
          x[size_t(c)] += s.discriminators.noise *
                          t.Normal(ControlStream::kDiscriminatorNoise, int64_t(r) * all + c);
        z2.push_back(Logits(l.disc_sas, weights.data() + sa.size(), x));
        x.resize(size_t(kState + kAction));
        z1.push_back(Logits(l.disc_sa, weights.data(), x));
      }
      return reference::DiscriminatorLoss(z1, z2, batch);
    };
    ExpectGradient("discriminators", both, actual, loss);
    EXPECT(std::abs(loss(both) - t.metrics[kDiscLoss] - t.metrics[kDiscNextLoss]) < 1e-5);
  }

  // ln r and u of simulated row i of the batch.
  std::pair<double, double> Gap(const float* row, int64_t i, const Numbers& sas) {
    const ControlLayout& l = t.learner.layout();
    const auto log_ratio = [&](const Numbers& x) {
      const Numbers z = Logits(l.disc_sas, sas.data(), Standard(x));
      return z[0] - z[1];
    };
    const Numbers x = Inputs(row, 2 * kState + kAction);
    double sum = 0;
    for (int64_t k = 0; k < s.h2o.next_samples; ++k) {
      Numbers moved = x;
      for (int64_t c = 0; c < kState; ++c)
        moved[size_t(shape.next() + c)] +=
            statistics.next_spread[size_t(c)] *
            t.Normal(ControlStream::kNextStates, (i * s.h2o.next_samples + k) * kState + c);
      sum -= log_ratio(moved);
    }
    const double mean = sum / double(std::max<int64_t>(1, s.h2o.next_samples));
    return {log_ratio(x), std::clamp(mean, 1e-30, double(s.h2o.gap_high))};
  }

  reference::Action Draw(const Numbers& policy, const Numbers& state, const Numbers& noise) {
    const Numbers out = reference::Mlp(Sizes(t.learner.layout().policy), policy.data(), state);
    return reference::Squash(out.data(), noise.data(), kAction, policy[policy.size() - 2],
                             policy[policy.size() - 1]);
  }
  Numbers Noise(ControlStream stream, int64_t row) {
    return {t.Normal(stream, row * kAction), t.Normal(stream, row * kAction + 1)};
  }
  double Q(int i, const Numbers& weights, Numbers state, const Numbers& action) {
    state.insert(state.end(), action.begin(), action.end());
    return reference::Mlp(Sizes(t.learner.layout().critic[i]), weights.data(), state)[0];
  }
};

struct Networks {  // as they are before the agent's step
  Numbers policy, critic[2], target[2];
  double alpha;
};

void CheckPolicy(Reference& ref, const Networks& nets, const std::vector<const float*>& rows) {
  Subject& t = ref.t;
  const ControlLayout& l = t.learner.layout();
  double log_probs = 0;
  const auto loss = [&](const Numbers& policy) {
    double sum = log_probs = 0;
    for (size_t r = 0; r < rows.size(); ++r) {
      const Numbers state = Inputs(rows[r], kState);
      const auto a = ref.Draw(policy, state, ref.Noise(ControlStream::kActorNoise, int64_t(r)));
      sum += nets.alpha * a.log_prob - std::min(ref.Q(0, nets.critic[0], state, a.values),
                                                ref.Q(1, nets.critic[1], state, a.values));
      log_probs += a.log_prob / double(rows.size());
    }
    return sum / double(rows.size());
  };
  Numbers actual = t.Gradient(l.policy);
  actual.push_back(t.gradients[size_t(l.policy_scalars)]);
  actual.push_back(t.gradients[size_t(l.policy_scalars) + 1]);
  ExpectGradient("policy", nets.policy, actual, loss);
  EXPECT(std::abs(loss(nets.policy) - t.metrics[kPolicyLoss]) < 1e-5);
  if (ref.s.train_alpha) {
    const double expected = -(log_probs + ref.s.target_entropy);
    EXPECT(std::abs(expected - t.gradients[size_t(l.alpha)]) < 1e-5 * std::abs(expected));
  }
}

// The conservative term of one critic, before its weight.
double Conservative(Reference& ref, const Networks& nets, int k, const Numbers& weights,
                    const std::vector<const float*>& rows, const Numbers& q) {
  const auto& cql = ref.s.cql;
  ControlMember& m = ref.t.learner.member(0);
  double sum = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    const Numbers state = Inputs(rows[r], kState);
    const Numbers next = Inputs(rows[r] + ref.shape.next(), kState);
    double exps = 0;
    for (int64_t a = 0; a < cql.actions; ++a) {
      const int64_t at = int64_t(r) * cql.actions + a;
      Numbers uniform;
      for (int64_t j = 0; j < kAction; ++j)
        uniform.push_back(2 * reference::Uniform({m.seed(), uint64_t(m.step),
                                                  Purpose(ControlStream::kCqlUniform), nullptr, 0},
                                                 at * kAction + j) -
                          1);
      const auto here = ref.Draw(nets.policy, state, ref.Noise(ControlStream::kCqlCurrent, at));
      const auto there = ref.Draw(nets.policy, next, ref.Noise(ControlStream::kCqlNext, at));
      const auto term = [&](const Numbers& action, double log_prob) {
        return std::exp((ref.Q(k, weights, state, action) - log_prob) / cql.temperature);
      };
      exps += term(uniform, -kAction * std::log(2.0)) + term(here.values, here.log_prob) +
              term(there.values, there.log_prob);
    }
    sum += cql.temperature * std::log(exps) - q[r];
  }
  return sum / double(rows.size());
}

void CheckCritics(Reference& ref, const Networks& nets, const Numbers& sas,
                  const std::vector<const float*>& rows) {
  Subject& t = ref.t;
  const ControlSettings& s = ref.s;
  const bool h2o = s.algorithm == ControlAlgorithm::kH2o;
  const bool darc = s.has_discriminators() && !h2o;
  Numbers y, weight, gaps;
  int64_t floored = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    const bool sim = int64_t(r) >= s.real_rows;
    const Numbers next = Inputs(rows[r] + ref.shape.next(), kState);
    const auto a = ref.Draw(nets.policy, next, ref.Noise(ControlStream::kTargetNoise, int64_t(r)));
    double value = std::min(ref.Q(0, nets.target[0], next, a.values),
                            ref.Q(1, nets.target[1], next, a.values));
    if (s.backup_entropy) value -= nets.alpha * a.log_prob;
    double reward = rows[r][ref.shape.reward()], w = 1;
    if (sim && s.has_discriminators()) {
      const auto [log_ratio, gap] = ref.Gap(rows[r], int64_t(r) - s.real_rows, sas);
      if (darc) reward += std::clamp(log_ratio, -double(s.darc_clip), double(s.darc_clip));
      if (s.h2o.importance)
        w = std::clamp(std::exp(log_ratio), double(s.h2o.ratio_low), double(s.h2o.ratio_high));
      gaps.push_back(s.h2o.adaptive ? gap : 1.0);
      floored += gap <= 1e-30;
    }
    y.push_back(reward + s.discount * (1 - rows[r][ref.shape.terminal()]) * value);
    weight.push_back(!h2o ? 1 / double(s.batch)
                          : (sim ? w / double(s.sim_rows()) : 1 / double(s.real_rows)));
  }
  const bool counted = h2o && s.h2o.adaptive && s.h2o.penalty;
  if (counted)
    EXPECT(std::abs(t.metrics[kGapFloor] - double(floored) / double(gaps.size())) < 1e-6);
  for (int k = 0; k < 2; ++k) {
    const auto loss = [&](const Numbers& weights) {
      Numbers q;
      for (const float* row : rows)
        q.push_back(ref.Q(k, weights, Inputs(row, kState), Inputs(row + kState, kAction)));
      double sum = reference::BellmanLoss(q, y, weight);
      if (h2o && s.h2o.penalty)
        sum += s.h2o.beta *
               reference::TrustPenalty(q, s.real_rows, gaps, s.h2o.linear, s.h2o.difference_limit);
      if (s.algorithm == ControlAlgorithm::kCql)
        sum += s.cql.weight * Conservative(ref, nets, k, weights, rows, q);
      return sum;
    };
    ExpectGradient(k == 0 ? "critic 1" : "critic 2", nets.critic[k],
                   t.Gradient(t.learner.layout().critic[k]), loss);
  }
}

// Adam in double from the exported gradients, at the update that was just made.
void CheckStep(Subject& t, const std::vector<float>& before, const std::vector<float>& target,
               std::vector<float> m, std::vector<float> v) {
  const ControlLayout& l = t.learner.layout();
  ControlMember& member = t.learner.member(0);
  std::vector<float> w = before, slow = target, g = t.gradients;
  const double step = double(member.step);
  const auto adam = [&](int64_t begin, int64_t end, float rate, float* follower) {
    reference::Adam({w.data() + begin, g.data() + begin, m.data() + begin, v.data() + begin,
                     follower, nullptr, end - begin, rate, 0.9f, 0.999f, 1e-8f,
                     float(1 - std::pow(double(0.9f), step)),
                     float(1 - std::pow(double(0.999f), step)), t.s.target_rate});
  };
  adam(l.discs_begin, l.discs_end, t.s.discriminators.learning_rate, nullptr);
  if (t.s.train_alpha) adam(l.alpha, l.alpha + 16, t.s.alpha_rate, nullptr);
  adam(0, l.policy_end, t.s.policy_rate, nullptr);
  adam(l.critics_begin, l.critics_end, t.s.critic_rate, slow.data());
  const std::vector<float> now = t.Host(member.parameters(), l.total);
  const std::vector<float> slow_now = t.Host(member.target(), int64_t(slow.size()));
  double worst = 0, moved = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    worst = std::max(worst, std::abs(double(w[i]) - now[i]));
    moved = std::max(moved, std::abs(double(before[i]) - now[i]));
  }
  for (size_t i = 0; i < slow.size(); ++i)
    worst = std::max(worst, std::abs(double(slow[i]) - slow_now[i]));
  // Steps of about 1e-2 on weights of about 1: a few roundings of single precision.
  EXPECT(worst < 1e-6);
  EXPECT(moved > 1e-4);
}

// Returns the metrics of the update.
ControlMetrics TestUpdate(const Backend& backend, const std::string& name,
                          const ControlSettings& settings, float log_std_scale = 0.9f) {
  const Context context(name);
  Subject t(settings, backend, log_std_scale);
  ControlMember& member = t.learner.member(0);
  const ControlLayout& l = t.learner.layout();
  t.Update();  // so that the moments are not zero in the update that is checked
  const std::vector<float> before = t.Host(member.parameters(), l.total);
  const std::vector<float> target = t.Host(member.target(), l.critics_end - l.critics_begin);
  const std::vector<float> m = t.Host(member.moment1(), l.total);
  const std::vector<float> v = t.Host(member.moment2(), l.total);
  Networks nets;
  nets.policy = t.Weights(l.policy);
  nets.policy.push_back(before[size_t(l.policy_scalars)]);
  nets.policy.push_back(before[size_t(l.policy_scalars) + 1]);
  for (int k = 0; k < 2; ++k) {
    nets.critic[k] = t.Weights(l.critic[k]);
    nets.target[k] = t.Plain(l.critic[k], target.data() - l.critics_begin);
  }
  nets.alpha = std::exp(double(before[size_t(l.alpha)]));
  Numbers sa, sas;
  if (settings.has_discriminators()) sa = t.Weights(l.disc_sa), sas = t.Weights(l.disc_sas);
  t.Update();
  CheckStep(t, before, target, m, v);
  // The numbers of the update that was made are those of the step before.
  --member.step;
  Reference ref(t);
  if (settings.has_discriminators()) {
    ref.CheckDiscriminators(sa, sas);
    sas = t.Weights(l.disc_sas);  // the agent is weighed by the discriminators after their step
  }
  const auto rows = t.Draw(ControlStream::kBatch, settings.batch, settings.real_rows);
  CheckPolicy(ref, nets, rows);
  CheckCritics(ref, nets, sas, rows);
  return t.metrics;
}

void TestAll(const Backend& backend) {
  using A = ControlAlgorithm;
  const auto h2o = [](auto change) {
    ControlSettings s = Tiny(A::kH2o);
    change(s);
    return s;
  };
  TestUpdate(backend, "sac", Tiny(A::kSac));
  TestUpdate(backend, "mix", Tiny(A::kMix));
  TestUpdate(backend, "cql", Tiny(A::kCql));
  TestUpdate(backend, "darc", Tiny(A::kDarc));
  TestUpdate(backend, "darc+", Tiny(A::kDarcPlus));
  const ControlMetrics metrics = TestUpdate(backend, "h2o", Tiny(A::kH2o));
  // Both kinds of u were in that logarithm: clamped and not.
  EXPECT(metrics[kGapFloor] > 0 && metrics[kGapFloor] < 1);
  TestUpdate(backend, "h2o, log_std at its bounds", Tiny(A::kH2o), 12);
  TestUpdate(backend, "h2o, w = 1", h2o([](auto& s) { s.h2o.importance = false; }));
  TestUpdate(backend, "h2o, u = 1", h2o([](auto& s) { s.h2o.adaptive = false; }));
  TestUpdate(backend, "h2o, no penalty", h2o([](auto& s) { s.h2o.penalty = false; }));
  TestUpdate(backend, "h2o, linear", h2o([](auto& s) { s.h2o.linear = true; }));
  TestUpdate(backend, "h2o, penalty at its limit",
             h2o([](auto& s) { s.h2o.difference_limit = 0.01f; }));
  TestUpdate(backend, "h2o, spread of the data",
             h2o([](auto& s) { s.h2o.next_spread = NextSpread::kData; }));
  TestUpdate(backend, "h2o, spread of a step, N = 1", h2o([](auto& s) {
               s.h2o.next_spread = NextSpread::kOneStep;
               s.h2o.next_samples = 1;
             }));
  TestUpdate(backend, "h2o, other logits", h2o([](auto& s) {
               s.discriminators.logit_scale = 0.7f;
               s.discriminators.normalize = true;
               s.discriminators.noise = 0;
             }));
  TestUpdate(backend, "h2o, fixed alpha, entropy in targets", h2o([](auto& s) {
               s.train_alpha = false;
               s.backup_entropy = true;
             }));
}

}  // namespace

int main() {
  // One instruction set: the operations' tests have compared all of them with the definitions.
  if (!OnlyDevice()) TestAll(CpuBackend(1).table());
  OnEmulatedCuda(cuda::HopperUse::kNever, TestAll);
  OnDevice(TestAll);
  return Report();
}
