// The control learners' losses against native/reference/control_losses.h, on every backend.
#include "reference/control_losses.h"

#include "test/backends.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

using Floats = std::vector<float>;
constexpr int64_t kUpdate = 7;

// A tally in memory that every backend reaches, with sums that something can be added to.
struct Tally {
  std::vector<ControlTally> memory{1, ControlTally{}};
  Tally() {
    for (int i = 0; i < kControlMetrics; ++i) value().sums[i] = i;
    value().critic_loss = 0.25;
    value().conservative = 0.5;
  }
  ControlTally& value() { return memory[0]; }
  const ControlTally& value() const { return memory[0]; }
};

// Sums in double of single-precision inputs; what is off comes from functions in single precision.
void ExpectTally(const Tally& actual, const Tally& expected) {
  const ControlTally &a = actual.value(), &e = expected.value();
  ExpectClose(
      "sums", kControlMetrics, [&](int64_t i) { return a.sums[i]; },
      [&](int64_t i) { return e.sums[i]; }, {1e-6, 1e-6});
  ExpectClose(
      "conservative", 1, [&](int64_t) { return a.conservative; },
      [&](int64_t) { return e.conservative; }, {1e-6, 1e-6});
  EXPECT(a.failed == e.failed);
}

// Runs a case on the backend and by definition; Case has Run(operation), which calls it with the
// arguments, and Compare(expected).
template <class Case, class Operation, class Definition>
void Check(const std::string& name, const Backend& backend, const Case& start,
           Operation ControlOperations::*operation, const Definition& definition) {
  const Context context(name);
  Case actual = start, expected = start;
  actual.Run([&](const auto& args) { (backend.control->*operation)(backend.device, args); });
  expected.Run(definition);
  actual.Compare(expected);
  ExpectTally(actual.tally, expected.tally);
}

constexpr int64_t kBatches[] = {1, 5, 48, 300};

struct ActorCase {
  int64_t rows;
  bool train_alpha;
  Floats q1, q2, log_prob, log_alpha{-0.4f}, d1, d2, d_alpha{0};
  Tally tally = {};

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
  Tally tally = {};

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
  Tally tally = {};

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
  Tally tally = {};

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
  Tally tally = {};

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
  Tally tally = {};

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

struct ConservativeCase {
  int64_t states, n;
  bool first;
  Floats q, log_prob[2], q_data, d;
  Tally tally = {};

  ConservativeCase(int64_t count, int64_t actions, bool begins, Random random = Random(7))
      : states(count), n(actions), first(begins) {
    q = random.Normals(count * 3 * actions, 2), d.resize(q.size());
    for (Floats& values : log_prob) values = random.Normals(count * actions, 2);
    q_data = random.Normals(count);
    q[0] = 60;  // beside which the others move nothing
  }
  template <class Operation>
  void Run(const Operation& operation) {
    operation(ConservativeLossArgs{q.data(),
                                   {log_prob[0].data(), log_prob[1].data()},
                                   q_data.data(),
                                   states,
                                   n,
                                   6,
                                   1 / 400.0,
                                   0.7f,
                                   5,
                                   first,
                                   d.data(),
                                   &tally.value()});
  }
  void Compare(const ConservativeCase& expected) const {
    // Exponents up to 100 in single precision.
    ExpectClose("d", d, expected.d, {1e-9, 2e-5});
  }
};

struct CriticCase {
  int64_t rows, real;
  int critic;
  CriticPenalty penalty;
  bool weighed;
  float limit;
  Floats q, target, coefficient, d_q;
  std::vector<double> log_omega;
  Tally tally = {};

  CriticCase(int64_t n, int64_t real_rows, int which, CriticPenalty kind, float bound)
      : rows(n),
        real(real_rows),
        critic(which),
        penalty(kind),
        weighed(kind != CriticPenalty::kCql),
        limit(bound),
        d_q(size_t(n)) {
    Random random(8);
    q = random.Normals(n, 2), target = random.Normals(n, 2), coefficient = random.Normals(n);
    for (int64_t i = real; i < n; ++i) log_omega.push_back(-3 + random.Normal());
    if (!log_omega.empty()) log_omega.back() = -80;  // a share that counts as none
  }
  template <class Operation>
  void Run(const Operation& operation) {
    operation(CriticLossArgs{critic, q.data(), target.data(),
                             weighed ? coefficient.data() : nullptr, rows, real, penalty, 0.7f,
                             limit, log_omega.data(), d_q.data(), &tally.value(), kUpdate});
  }
  void Compare(const CriticCase& expected) const {
    ExpectClose("d_q", d_q, expected.d_q, {2e-6, 1e-6});  // three roundings of up to 20
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
      for (int64_t actions : {1, 10, 20})
        Check("conservative_loss" + n + " x " + std::to_string(actions), backend,
              ConservativeCase(rows, actions, flag), &Ops::conservative_loss,
              [](const auto& args) { reference::ConservativeLoss(args); });
    }
    for (int64_t actions : {1, 6})
      Check("policy_gradient" + n, backend, PolicyCase(rows, actions), &Ops::policy_gradient,
            [](const auto& args) { reference::PolicyGradient(args); });
    Check("discriminator_loss" + n, backend, DiscriminatorCase(rows), &Ops::discriminator_loss,
          [](const auto& args) { reference::DiscriminatorLoss(args); });
    for (int64_t samples : {0, 1, 10})
      Check("log_ratios" + n, backend, RatioCase(rows, samples), &Ops::log_ratios,
            [](const auto& args) { reference::LogRatios(args); });
    for (int critic : {0, 1})
      for (CriticPenalty penalty : {CriticPenalty::kNone, CriticPenalty::kCql, CriticPenalty::kH2o,
                                    CriticPenalty::kH2oLinear})
        for (int64_t real : {int64_t(0), rows / 2, rows})
          for (float limit : {1e3f, 1e-3f}) {
            const bool trust = penalty >= CriticPenalty::kH2o;
            if (trust && (real == 0 || real == rows)) continue;  // it needs rows of both kinds
            Check("critic_loss" + n + " penalty " + std::to_string(int(penalty)), backend,
                  CriticCase(rows, real, critic, penalty, limit), &Ops::critic_loss,
                  [](const auto& args) { reference::CriticLoss(args); });
          }
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
    CriticCase critic(9, 4, 1, CriticPenalty::kH2o, 1e3f);
    critic.target[8] = bad;
    EXPECT(failed(critic, &ControlOperations::critic_loss));
    critic.target[8] = 0, critic.q[8] = bad;
    EXPECT(failed(critic, &ControlOperations::critic_loss));
  }
  DiscriminatorCase discriminators(5);
  discriminators.f[1][6] = NAN;
  EXPECT(failed(discriminators, &ControlOperations::discriminator_loss));
  PolicyCase policy(3, 2);
  policy.outputs.Set(1, 2, NAN);
  policy.Run([&](const auto& args) { ops.policy_gradient(backend.device, args); });
  TargetCase target(8, true, true);
  target.log_ratio[1] = NAN;
  target.Run([&](const auto& args) { ops.targets(backend.device, args); });
  EXPECT(std::isnan(target.target[5]) && !std::isnan(target.target[6]));
}

// Sums have one order, whoever makes their terms.
void TestOrder() {
  const auto run = [](const Backend& backend) {
    std::vector<double> all;
    const auto keep = [&](const Tally& tally) {
      all.insert(all.end(), tally.value().sums, tally.value().sums + kControlMetrics);
      all.push_back(tally.value().conservative);
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
    take(ConservativeCase(100, 10, true), &ControlOperations::conservative_loss);
    const auto critic =
        take(CriticCase(300, 100, 0, CriticPenalty::kH2o, 1e3f), &ControlOperations::critic_loss);
    all.insert(all.end(), critic.d_q.begin(), critic.d_q.end());
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
