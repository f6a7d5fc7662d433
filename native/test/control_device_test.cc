// Whole learners on CUDA: every algorithm agrees with the CPU, does not depend on the order of
// threads or on the other members, goes on from a saved state, and tells of a loss that is not
// finite before the agent has changed.
#include "control/learner.h"
#include "test/backends.h"
#include "test/transitions.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

constexpr int64_t kState = 5, kAction = 2;
constexpr float kRate = 1e-3f;

ControlSettings Small(ControlAlgorithm algorithm, std::vector<uint64_t> seeds) {
  const bool cql = algorithm == ControlAlgorithm::kCql;
  const bool sim_only = algorithm == ControlAlgorithm::kSac || algorithm == ControlAlgorithm::kDarc;
  ControlSettings s;
  s.algorithm = algorithm;
  s.state_size = kState;
  s.action_size = kAction;
  s.hidden = {20, 12};
  s.batch = 24;
  s.real_rows = cql ? 24 : sim_only ? 0 : 10;
  s.policy_rate = s.critic_rate = s.alpha_rate = kRate;
  s.discount = 0.99f;
  s.target_rate = 0.005f;
  s.backup_entropy = true;
  s.target_entropy = -2;
  s.darc_clip = 10;
  s.discriminators = {{12}, 16, kRate, 0.1f, 2, true};
  s.h2o.beta = 0.01f;
  s.h2o.next_samples = 4;
  s.h2o.ratio_low = 1e-5f;
  s.h2o.ratio_high = 1;
  s.h2o.gap_high = 10;
  s.h2o.difference_limit = 1000;
  s.cql = {5, 1, cql ? 3 : 0};
  s.seeds = std::move(seeds);
  s.sim_capacity = 50;
  return s;
}

struct Columns : Transitions {
  Columns(int64_t n, uint64_t seed) {
    Random random(seed);
    states = random.Normals(n * kState);
    actions = random.Normals(n * kAction, 0.4);
    rewards = random.Normals(n);
    next = random.Normals(n * kState);
    for (int64_t i = 0; i < n; ++i) terminal.push_back(i % 7 == 0);
  }
};

struct Ensemble {
  SingleLane lane;
  ControlLearner learner;
  Ensemble(const Backend& backend, const ControlSettings& s)
      : lane(backend.device),
        learner(backend, backend.device, s, Columns(s.needs_real() ? 40 : 0, 1).view()) {
    for (int64_t m = 0; m < learner.members() && s.needs_sim(); ++m)
      for (uint64_t part : {0, 1})  // 60 transitions: the first ones are overwritten
        learner.Push(m, Columns(30, 2 * s.seeds[size_t(m)] + part).view());
  }
  std::vector<ControlMetrics> Update(int64_t n) {
    CancelToken never;
    return learner.Update(n, lane, never);
  }
};

constexpr ControlAlgorithm kAll[] = {ControlAlgorithm::kSac,  ControlAlgorithm::kCql,
                                     ControlAlgorithm::kDarc, ControlAlgorithm::kDarcPlus,
                                     ControlAlgorithm::kMix,  ControlAlgorithm::kH2o};

template <class Body>
void ForAlgorithms(const Body& body) {
  for (ControlAlgorithm algorithm : kAll) {
    const Context context("algorithm " + std::to_string(int(algorithm)));
    body(algorithm);
  }
}

// What the learner's networks say of transitions, and what it does.
std::vector<float> Answers(ControlLearner& learner) {
  const int64_t rows = 30;
  const Columns probe(rows, 77);
  std::vector<float> q1(static_cast<size_t>(rows)), q2 = q1, log_ratio = q1, gap = q1;
  learner.Inspect(0, probe.view(), q1.data(), q2.data(), log_ratio.data(), gap.data());
  std::vector<float> all, actions(size_t(rows * kAction));
  for (const auto* column : {&q1, &q2, &log_ratio, &gap})
    all.insert(all.end(), column->begin(), column->end());
  for (bool sample : {false, true}) {
    learner.Act(0, probe.states.data(), rows, sample, actions.data());
    all.insert(all.end(), actions.begin(), actions.end());
  }
  return all;
}

void TestAgreement(const Backend& cuda) {
  constexpr int64_t kUpdates = 4;
  ForAlgorithms([&](ControlAlgorithm algorithm) {
    CpuBackend cpu(1);
    Ensemble expected(cpu.table(), Small(algorithm, {3})), actual(cuda, Small(algorithm, {3}));
    const auto start = expected.learner.Parameters(0);
    EXPECT(SameBits(actual.learner.Parameters(0), start));
    const ControlMetrics e = expected.Update(kUpdates)[0], a = actual.Update(kUpdates)[0];
    // Sums of products in other orders, through networks that differ by that after an update.
    ExpectClose(
        "metric", kControlMetrics, [&](int64_t i) { return a[size_t(i)]; },
        [&](int64_t i) { return e[size_t(i)]; }, {1e-5, 1e-5});
    ExpectClose("answer", Answers(actual.learner), Answers(expected.learner), {1e-5, 1e-5});
    // Adam divides a gradient by its size: where it is a rounding of zero, a step may have any size
    // up to the rate. Elsewhere single precision is good to 1e-4 of a step.
    const auto w = expected.learner.Parameters(0), v = actual.learner.Parameters(0);
    double sum = 0, moved = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      EXPECT(std::abs(w[i] - v[i]) <= 2 * kRate * kUpdates);
      sum += std::abs(double(w[i]) - v[i]);
      moved += std::abs(double(w[i]) - start[i]);
    }
    EXPECT(moved > 0.1 * kRate * double(w.size()));
    EXPECT_MESSAGE(sum < 1e-3 * moved, "parameters are off by " + std::to_string(sum / moved) +
                                           " of what they have moved");
  });
}

void TestOrder() {
  ForAlgorithms([&](ControlAlgorithm algorithm) {
    ExpectSameInAnyOrder("state", [&](const Backend& cuda) {
      Ensemble e(cuda, Small(algorithm, {3}));
      e.Update(2);
      return e.learner.State(true);
    });
  });
}

void TestMembersAndResume(const Backend& cuda) {
  ForAlgorithms([&](ControlAlgorithm algorithm) {
    Ensemble both(cuda, Small(algorithm, {3, 11})), alone(cuda, Small(algorithm, {11}));
    const auto metrics = both.Update(3);
    EXPECT(alone.Update(3)[0] == metrics[1]);
    EXPECT(SameBits(alone.learner.Parameters(0), both.learner.Parameters(1)));
    EXPECT(!SameBits(both.learner.Parameters(0), both.learner.Parameters(1)));

    const std::string saved = both.learner.State(true);
    Ensemble other(cuda, Small(algorithm, {3, 11}));
    other.learner.Restore(saved.data(), saved.size());
    EXPECT(other.learner.State(true) == saved);
    both.Update(2);
    other.Update(2);
    EXPECT(other.learner.State(true) == both.learner.State(true));
  });
}

// An update of all members is one graph, which serves all updates, and has the kernels of one
// member: each does its part for all of them. What changes in it are the kernels that draw random
// numbers or name the update, and the optimiser's.
void TestOneGraph(const Backend& table) {
  constexpr int64_t kUpdates = 4,
                    kChangingKernels = 14;  // H2O's, the others have fewer
  const cuda::StepGraph& graph = cuda::CudaBackend::Of(&table)->device().graph();
  ForAlgorithms([&](ControlAlgorithm algorithm) {
    Ensemble(table, Small(algorithm, {3})).Update(1);
    const size_t nodes = graph.nodes();
    Ensemble e(table, Small(algorithm, {3, 11}));
    e.Update(2);  // the first one finds out how much scratch memory there has to be
    const int64_t made = graph.made(), changed = graph.changed();
    e.Update(kUpdates);
    EXPECT(made > 0 && graph.made() == made && graph.nodes() == nodes);
    EXPECT(graph.changed() > changed && graph.changed() - changed <= kUpdates * kChangingKernels);
  });
}

void TestTransitions(const Backend& cuda) {
  const ControlSettings s = Small(ControlAlgorithm::kSac, {4});
  Ensemble e(cuda, s);
  const Columns first(30, 8), second(30, 9);
  std::vector<float> states(50 * kState), actions(50 * kAction), rewards(50), next(50 * kState);
  std::vector<uint8_t> terminal(50);
  e.learner.Read(0, 0, 50, states.data(), actions.data(), rewards.data(), next.data(),
                 terminal.data());
  for (size_t i = 0; i < 50; ++i) {  // the ten oldest are gone
    const Columns& from = i < 20 ? first : second;
    const size_t r = i < 20 ? i + 10 : i - 20;
    EXPECT(rewards[i] == from.rewards[r] && terminal[i] == from.terminal[r]);
    EXPECT(states[i * kState] == from.states[r * kState]);
    EXPECT(actions[i * kAction + 1] == from.actions[r * kAction + 1]);
    EXPECT(next[i * kState + 4] == from.next[r * kState + 4]);
  }
}

// Also on the CPU: the flag that holds the optimisers back is the same. Next states that overflow
// reach the discriminators' loss, where there are any, else the agent's.
void TestNotFinite(const Backend& backend, ControlAlgorithm algorithm) {
  const ControlSettings s = Small(algorithm, {5});
  Ensemble e(backend, s), once(backend, s);
  e.Update(2);
  const std::string saved = e.learner.State(true);
  Columns huge(50, 5);
  for (float& x : huge.next) x = 3e38f;
  e.learner.Push(0, huge.view());
  once.Update(2);
  once.learner.Push(0, huge.view());
  const auto fails = [](Ensemble& of, int64_t updates) {
    try {
      of.Update(updates);
    } catch (const Error& error) {
      return error.code() == std::string("NON_FINITE") &&
             std::string(error.what()).find("at update 3;") != std::string::npos;
    }
    return false;
  };
  const auto before = e.learner.Parameters(0);
  // The round goes on to its end after the update that failed; it must be as if it had not.
  EXPECT(fails(e, 20));
  EXPECT(fails(once, 1));
  EXPECT(e.learner.step() == 2);
  EXPECT(e.learner.State(true) == once.learner.State(true));
  const auto after = e.learner.Parameters(0);
  const ControlLayout& l = e.learner.layout();
  const size_t agent =
      size_t(PlainElements(l.policy) + PlainElements(l.critic[0]) + PlainElements(l.critic[1]));
  EXPECT(std::equal(before.begin(), before.begin() + int64_t(agent), after.begin()));
  EXPECT(std::equal(before.end() - 3, before.end(), after.end() - 3));

  e.learner.Restore(saved.data(), saved.size());
  Ensemble fresh(backend, s);
  fresh.Update(5);
  e.Update(3);
  EXPECT(SameBits(e.learner.Parameters(0), fresh.learner.Parameters(0)));
}

void TestLearners(const Backend& cuda) {
  TestAgreement(cuda);
  TestMembersAndResume(cuda);
  TestTransitions(cuda);
  TestNotFinite(cuda, ControlAlgorithm::kMix);
  TestNotFinite(cuda, ControlAlgorithm::kH2o);
}

}  // namespace

int main() {
  OnEmulatedCuda(cuda::HopperUse::kNever, TestLearners);
  OnDevice(TestLearners);
  OnEmulatedCuda(cuda::HopperUse::kNever, TestOneGraph);
  TestOrder();
  for (ControlAlgorithm algorithm : {ControlAlgorithm::kMix, ControlAlgorithm::kH2o})
    if (!OnlyDevice()) TestNotFinite(CpuBackend(2).table(), algorithm);
  return Report();
}
