// The losses of the control learners' critics against native/reference/control_losses.h, on every
// backend.
#include "test/control_case.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct ConservativeCase {
  int64_t states, n;
  bool first;
  Floats q, log_prob[2], q_data, d;
  TestTally tally = {};

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
  TestTally tally = {};

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
    for (bool first : {false, true})
      for (int64_t actions : {1, 10, 20})
        Check("conservative_loss" + n + " x " + std::to_string(actions), backend,
              ConservativeCase(rows, actions, first), &Ops::conservative_loss,
              [](const auto& args) { reference::ConservativeLoss(args); });
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

void TestFailure(const Backend& backend) {
  const auto failed = [&](CriticCase subject) {
    const auto run = [&](const auto& args) { backend.control->critic_loss(backend.device, args); };
    subject.Run(run);
    return subject.tally.value().failed;
  };
  for (float bad : {NAN, INFINITY}) {
    CriticCase critic(9, 4, 1, CriticPenalty::kH2o, 1e3f);
    EXPECT(failed(critic) == 0);
    critic.target[8] = bad;
    EXPECT(failed(critic) == kUpdate);
    critic.tally.value().failed = 3;  // an earlier one
    EXPECT(failed(critic) == 3);
    critic.tally.value().failed = 0, critic.target[8] = 0, critic.q[8] = bad;
    EXPECT(failed(critic) == kUpdate);
  }
}

// Sums have one order, whoever makes their terms.
void TestOrder() {
  const auto run = [](const Backend& backend) {
    ConservativeCase conservative(100, 10, true);
    conservative.Run(
        [&](const auto& args) { backend.control->conservative_loss(backend.device, args); });
    CriticCase critic(300, 100, 0, CriticPenalty::kH2o, 1e3f);
    critic.Run([&](const auto& args) { backend.control->critic_loss(backend.device, args); });
    std::vector<double> all(critic.d_q.begin(), critic.d_q.end());
    const ControlTally& tally = critic.tally.value();
    all.insert(all.end(), tally.sums, tally.sums + kControlMetrics);
    all.push_back(conservative.tally.value().conservative);
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
