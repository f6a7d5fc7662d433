// The losses of the control learners' policy and discriminators against
// native/reference/control_losses.h, on every backend.
#include "test/control_case.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct ActorCase {
  int64_t rows;
  bool train_alpha;
  Floats q1, q2, log_prob, log_alpha{-0.4f}, d1, d2, d_alpha{0};
  TestTally tally = {};

  ActorCase(int64_t n, bool train) : rows(n), train_alpha(train), d1(size_t(n)), d2(size_t(n)) {
    Random random(1);
    q1 = random.Normals(n), q2 = random.Normals(n), log_prob = random.Normals(n, 2);
    q2[0] = q1[0];
  }
  template <class Operation>
  void Run(const Operation& operation) {
    operation(ActorLossArgs{q1.data(), q2.data(), log_prob.data(), log_alpha.data(), rows, -3,
                            d1.data(), d2.data(), train_alpha ? d_alpha.data() : nullptr,
                            &tally.value(), kUpdate});
  }
  void Compare(const ActorCase& expected) const {
    EXPECT(d1 == expected.d1 && d2 == expected.d2);
    ExpectClose("d_log_alpha", d_alpha, expected.d_alpha, {0, 1e-6});
  }
};

struct PolicyCase {
  Matrix outputs, action, d1, d2, d_outputs;
  Floats noise, std_dev, scalars{1.2f, -0.7f}, log_alpha{-0.3f}, d_scalars{0.5f, 0.25f};
  TestTally tally = {};

  PolicyCase(int64_t rows, int64_t actions, Random random = Random(2))
      : outputs(DType::kF32, rows, 2 * actions, 1, random, 2),
        action(DType::kF32, rows, actions, 4),
        d1(DType::kF32, rows, actions, 3, random),
        d2(DType::kF32, rows, actions, 0, random),
        d_outputs(DType::kF32, rows, 2 * actions, 2),
        noise(random.Normals(rows * actions)),
        std_dev(random.Normals(rows * actions)) {
    outputs.Set(0, actions, 50);  // outside the clamp
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < actions; ++j) action.Set(r, j, std::tanh(random.Normal()));
  }
  template <class Operation>
  void Run(const Operation& operation) {
    operation(PolicyGradientArgs{outputs.tensor(),
                                 noise.data(),
                                 std_dev.data(),
                                 action.tensor(),
                                 {d1.tensor(), d2.tensor()},
                                 scalars.data(),
                                 log_alpha.data(),
                                 d_outputs.tensor(),
                                 d_scalars.data()});
  }
  void Compare(const PolicyCase& expected) const {
    // A handful of roundings of numbers up to 10; the sums are of up to 2,000 of them.
    ExpectClose("d_outputs", d_outputs, expected.d_outputs, {3e-6, 1e-6});
    ExpectClose("d_scalars", d_scalars, expected.d_scalars, {1e-3, 1e-6});
  }
};

struct TargetCase {
  int64_t rows;
  bool entropy, darc;
  Floats q1, q2, log_prob, log_alpha{-0.2f}, log_ratio, target;
  Matrix batch;
  TestTally tally = {};

  TargetCase(int64_t n, bool with_entropy, bool with_ratio, Random random = Random(3))
      : rows(n),
        entropy(with_entropy),
        darc(with_ratio),
        q1(random.Normals(n)),
        q2(random.Normals(n)),
        log_prob(random.Normals(n)),
        log_ratio(random.Normals(n, 3)),
        target(size_t(n)),
        batch(DType::kF32, n, 6, 0, random) {
    for (int64_t r = 0; r < n; ++r) batch.Set(r, 5, r % 3 == 0);
  }
  template <class Operation>
  void Run(const Operation& operation) {
    Tensor reward = batch.tensor(), terminal = batch.tensor();
    reward.data = reward.f32() + 4, terminal.data = terminal.f32() + 5;
    reward.cols = terminal.cols = 1;
    operation(TargetArgs{q1.data(), q2.data(), entropy ? log_prob.data() : nullptr,
                         log_alpha.data(), reward, terminal, darc ? log_ratio.data() : nullptr,
                         rows / 2, 2.5f, 0.9f, target.data()});
  }
  void Compare(const TargetCase& expected) const {
    ExpectClose("target", target, expected.target, {2e-6, 0});  // five roundings of up to 5
  }
};

struct DiscriminatorCase {
  int64_t each;
  Floats f[2], d[2];
  TestTally tally = {};

  explicit DiscriminatorCase(int64_t n, Random random = Random(4)) : each(n) {
    for (int k = 0; k < 2; ++k) f[k] = random.Normals(4 * n, 1.5), d[k].resize(size_t(4 * n));
  }
  template <class Operation>
  void Run(const Operation& operation) {
    operation(DiscriminatorLossArgs{{f[0].data(), f[1].data()},
                                    each,
                                    2.0f,
                                    {d[0].data(), d[1].data()},
                                    &tally.value(),
                                    kUpdate});
  }
  void Compare(const DiscriminatorCase& expected) const {
    for (int k = 0; k < 2; ++k) {
      ExpectClose("z", f[k], expected.f[k], {0, 5e-7});
      // 1 - tanh^2 loses what z has rounded: 1e-6 of a share.
      ExpectClose("d_f", d[k], expected.d[k], {2e-6 / double(each), 1e-6});
    }
  }
};

struct RatioCase {
  int64_t n, samples;
  Floats f, log_ratio, gap;
  TestTally tally = {};

  RatioCase(int64_t rows, int64_t next, Random random = Random(5))
      : n(rows),
        samples(next),
        f(random.Normals(2 * rows * (next + 1))),
        log_ratio(size_t(rows)),
        gap(size_t(rows), 9) {}
  template <class Operation>
  void Run(const Operation& operation) {
    operation(LogRatiosArgs{f.data(), n, samples, 2.0f, 0.4f, log_ratio.data(), gap.data()});
  }
  void Compare(const RatioCase& expected) const {
    ExpectClose("z", f, expected.f, {0, 5e-7});
    ExpectClose("log_ratio", log_ratio, expected.log_ratio, {1e-6, 0});  // of two up to 2
    ExpectClose("gap", gap, expected.gap, {1e-6, 0});
  }
};

struct WeighCase {
  int64_t real, sim;
  bool gaps, h2o;
  Floats log_ratio, gap, coefficient;
  std::vector<double> log_omega;
  TestTally tally = {};

  WeighCase(int64_t rows, bool with_gaps, bool with_coefficient, Random random = Random(6))
      : real(rows / 2),
        sim(rows - rows / 2),
        gaps(with_gaps),
        h2o(with_coefficient),
        log_ratio(random.Normals(sim, 2)),
        gap(random.Normals(sim)),
        coefficient(size_t(rows)),
        log_omega(size_t(sim)) {
    log_ratio[0] = -3.99f;
    for (float& u : gap) u = std::max(u, kGapFloorValue);
  }
  template <class Operation>
  void Run(const Operation& operation) {
    operation(WeighArgs{log_ratio.data(), gaps ? gap.data() : nullptr, real, sim, 4, 1e-3f, 1.5f,
                        gaps, h2o ? coefficient.data() : nullptr, log_omega.data(),
                        &tally.value()});
  }
  void Compare(const WeighCase& expected) const {
    ExpectClose("coefficient", coefficient, expected.coefficient, {0, 5e-7});
    ExpectClose(
        "log_omega", sim, [&](int64_t i) { return log_omega[size_t(i)]; },
        [&](int64_t i) { return expected.log_omega[size_t(i)]; }, {1e-13, 1e-13});
  }
};

void TestAll(const Backend& backend) {
  using Ops = ControlOperations;
  for (int64_t rows : kBatches) {
    const std::string n = " " + std::to_string(rows);
    for (bool flag : {false, true}) {
      Check("actor_loss" + n, backend, ActorCase(rows, flag), &Ops::actor_loss,
            [](const auto& args) { reference::ActorLoss(args); });
      for (bool other : {false, true})
        Check("targets" + n, backend, TargetCase(rows, flag, other), &Ops::targets,
              [](const auto& args) { reference::Targets(args); });
      for (bool other : {false, true})
        Check("weigh" + n, backend, WeighCase(rows, flag, other), &Ops::weigh,
              [](const auto& args) { reference::Weigh(args); });
    }
    for (int64_t actions : {1, 6})
      Check("policy_gradient" + n, backend, PolicyCase(rows, actions), &Ops::policy_gradient,
            [](const auto& args) { reference::PolicyGradient(args); });
    Check("discriminator_loss" + n, backend, DiscriminatorCase(rows), &Ops::discriminator_loss,
          [](const auto& args) { reference::DiscriminatorLoss(args); });
    for (int64_t samples : {0, 1, 10})
      Check("log_ratios" + n, backend, RatioCase(rows, samples), &Ops::log_ratios,
            [](const auto& args) { reference::LogRatios(args); });
  }
}

// What is not finite is told by the number of the first update, and derivatives stay NaN.
void TestFailure(const Backend& backend) {
  const ControlOperations& ops = *backend.control;
  const auto failed = [&](auto subject, auto operation) {
    const auto run = [&](auto args) { (ops.*operation)(backend.device, args); };
    subject.Run(run);
    const int64_t first = subject.tally.value().failed;
    subject.Run([&](auto args) {
      args.update = kUpdate + 1;
      run(args);
    });
    return first == kUpdate && subject.tally.value().failed == kUpdate;
  };
  for (float bad : {NAN, INFINITY}) {
    ActorCase actor(9, true);
    actor.log_prob[3] = bad;
    EXPECT(failed(actor, &ControlOperations::actor_loss));
  }
  DiscriminatorCase discriminators(5);
  discriminators.f[1][6] = NAN;
  EXPECT(failed(discriminators, &ControlOperations::discriminator_loss));
  TargetCase target(8, true, true);
  target.log_ratio[1] = NAN;
  target.Run([&](const auto& args) { ops.targets(backend.device, args); });
  EXPECT(std::isnan(target.target[5]) && !std::isnan(target.target[6]));
}

// Sums have one order, whoever makes their terms.
void TestOrder() {
  const auto run = [](const Backend& backend) {
    std::vector<double> all;
    const auto keep = [&](const TestTally& tally) {
      all.insert(all.end(), tally.value().sums, tally.value().sums + kControlMetrics);
    };
    const auto take = [&](auto subject, auto operation) {
      subject.Run([&](const auto& args) { (backend.control->*operation)(backend.device, args); });
      keep(subject.tally);
      return subject;
    };
    take(ActorCase(300, true), &ControlOperations::actor_loss);
    const auto policy = take(PolicyCase(300, 6), &ControlOperations::policy_gradient);
    all.insert(all.end(), policy.d_scalars.begin(), policy.d_scalars.end());
    take(DiscriminatorCase(300), &ControlOperations::discriminator_loss);
    take(WeighCase(300, true, true), &ControlOperations::weigh);
    return all;
  };
  ExpectSameOnThreads("losses", run);
  ExpectSameInAnyOrder("losses", run);
}

}  // namespace

int main() {
  OnEveryBackend([](const Backend& backend) {
    TestAll(backend);
    TestFailure(backend);
  });
  TestOrder();
  return Report();
}
