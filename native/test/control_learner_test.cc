// Ensembles: the same bits for any number of threads and members, exact resume, cancellation, the
// ring of transitions, the spreads of next states, and what discriminators learn where the truth
// is known.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <thread>

#include "control/learner.h"
#include "control/turns.h"
#include "cpu/lanes.h"
#include "test/harness.h"
#include "test/transitions.h"

namespace {
std::atomic<long> allocations{0};
}
// Inlined, one of them would no longer look like the other's counterpart, and GCC warns.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* p = std::malloc(size > 0 ? size : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

using namespace alignlab;
using namespace alignlab::test;

namespace {

constexpr int64_t kState = 5, kAction = 2;

ControlSettings Small(ControlAlgorithm algorithm, std::vector<uint64_t> seeds) {
  ControlSettings s;
  s.algorithm = algorithm;
  s.state_size = kState;
  s.action_size = kAction;
  s.hidden = {40, 24};
  s.batch = 48;
  s.real_rows = algorithm == ControlAlgorithm::kCql                                           ? 48
                : algorithm == ControlAlgorithm::kSac || algorithm == ControlAlgorithm::kDarc ? 0
                                                                                              : 24;
  s.policy_rate = s.critic_rate = s.alpha_rate = 1e-3f;
  s.discount = 0.99f;
  s.target_rate = 0.005f;
  s.backup_entropy = true;
  s.target_entropy = -2;
  s.darc_clip = 10;
  s.discriminators = {{40, 24}, 48, 1e-3f, 0.1f, 2, false};
  s.h2o.beta = 0.01f;
  s.h2o.next_samples = 10;
  s.h2o.ratio_low = 1e-5f;
  s.h2o.ratio_high = 1;
  s.h2o.gap_high = 10;
  s.h2o.difference_limit = 1000;
  s.cql = {5, 1, algorithm == ControlAlgorithm::kCql ? 4 : 0};
  s.seeds = std::move(seeds);
  s.sim_capacity = 150;
  return s;
}

// next = state + shift + noise in the first column.
struct Columns : Transitions {
  Columns(int64_t n, uint64_t seed, double shift) {
    Random random(seed);
    states = random.Normals(n * kState);
    actions = random.Normals(n * kAction, 0.4);
    rewards = random.Normals(n);
    next = states;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < kState; ++c)
        next[size_t(i * kState + c)] += float(random.Normal() + (c == 0 ? shift : 0));
      terminal.push_back(i % 7 == 0);
    }
  }
};

struct Ensemble {
  CpuBackend backend;
  CpuLanes lanes;
  ControlLearner learner;
  Ensemble(const ControlSettings& s, int threads, int64_t sim_rows = 100)
      : backend(threads),
        lanes(backend.pool()),
        learner(backend.table(), lanes.device(0), s,
                Columns(s.needs_real() ? 90 : 0, 1, 0).view()) {
    for (int64_t m = 0; m < learner.members() && s.sim_capacity > 0; ++m)
      learner.Push(m, Columns(sim_rows, s.seeds[size_t(m)], 1).view());
  }
  std::vector<ControlMetrics> Update(int64_t n) {
    CancelToken never;
    return learner.Update(n, lanes, never);
  }
  // Everything that a member has.
  std::string Member(int64_t m) {
    ControlMember& member = learner.member(m);
    const size_t bytes = size_t(learner.layout().total) * 4;
    return std::string(reinterpret_cast<char*>(member.parameters()), bytes) +
           std::string(reinterpret_cast<char*>(member.moment2()), bytes);
  }
};

constexpr ControlAlgorithm kAll[] = {ControlAlgorithm::kSac,  ControlAlgorithm::kCql,
                                     ControlAlgorithm::kDarc, ControlAlgorithm::kDarcPlus,
                                     ControlAlgorithm::kMix,  ControlAlgorithm::kH2o};

void TestThreadsAndMembers() {
  for (ControlAlgorithm algorithm : kAll) {
    const Context context("algorithm " + std::to_string(int(algorithm)));
    Ensemble one(Small(algorithm, {3, 11, 4}), 1);
    const auto metrics = one.Update(20);
    for (int threads : {2, 3}) {
      Ensemble many(Small(algorithm, {3, 11, 4}), threads);
      EXPECT(many.Update(20) == metrics);
      EXPECT(many.learner.State(true) == one.learner.State(true));
    }
    for (int64_t m = 0; m < 3; ++m) {
      Ensemble alone(Small(algorithm, {one.learner.settings().seeds[size_t(m)]}), 2);
      EXPECT(alone.Update(20)[0] == metrics[size_t(m)]);
      EXPECT(alone.Member(0) == one.Member(m));
    }
    EXPECT(one.Member(0) != one.Member(1));
  }
}

void TestResume() {
  for (ControlAlgorithm algorithm : kAll) {
    const ControlSettings s = Small(algorithm, {3, 4});
    Ensemble whole(s, 1), first(s, 1), second(s, 2);
    std::vector<float> states(3 * kState, 0.3f), a(3 * kAction), b(3 * kAction);
    whole.Update(9);
    whole.Update(16);
    first.Update(9);
    first.learner.Act(1, states.data(), 3, true, a.data());
    const std::string saved = first.learner.State(true);
    second.learner.Restore(saved.data(), saved.size());
    EXPECT(second.learner.State(true) == saved);
    second.Update(16);
    EXPECT(second.Member(0) == whole.Member(0) && second.Member(1) == whole.Member(1));
    first.Update(16);
    first.learner.Act(1, states.data(), 3, true, a.data());
    second.learner.Act(1, states.data(), 3, true, b.data());
    EXPECT(a == b);
    second.learner.Act(1, states.data(), 3, true, b.data());
    EXPECT(a != b);  // the next draw is another one

    const std::string short_form = first.learner.State(false);
    const auto refused = [&](std::string bytes) {
      const std::string before = second.learner.State(true);
      try {
        second.learner.Restore(bytes.data(), bytes.size());
        return false;
      } catch (const Error& error) {
        return error.code() == std::string("DATA_INVALID") && second.learner.State(true) == before;
      }
    };
    for (size_t cut : {size_t(0), size_t(5), size_t(40), saved.size() / 2, saved.size() - 1})
      EXPECT(refused(saved.substr(0, cut)));
    EXPECT(refused(saved + "x"));
    Ensemble other(Small(algorithm, {3, 5}), 1);
    EXPECT(refused(other.learner.State(true)));
    const int64_t held = second.learner.member(0).sim().size();
    second.learner.Restore(short_form.data(), short_form.size());
    EXPECT(second.Member(0) == first.Member(0) && second.learner.member(0).sim().size() == held);
  }
}

// Members take turns of whole updates, one lane at a time each, and end together.
void TestTurns() {
  for (const int64_t updates : {1, 7, 64, 100}) {
    CancelToken cancel;
    Turns turns(3, updates, cancel);
    std::vector<int64_t> done(3, 0);
    std::vector<Turns::Turn> running;
    while (true) {
      while (running.size() < 2) {
        const auto turn = turns.Next();
        if (!turn) break;
        for (const Turns::Turn& other : running) EXPECT(other.member != turn->member);
        EXPECT(turn->begin == done[size_t(turn->member)] && turn->count >= 1);
        running.push_back(*turn);
      }
      if (running.empty()) break;
      done[size_t(running.front().member)] += running.front().count;
      turns.Done(running.front(), false);
      running.erase(running.begin());
      const auto [least, most] = std::minmax_element(done.begin(), done.end());
      EXPECT(*most - *least <= 16);
    }
    EXPECT(done == std::vector<int64_t>(3, updates));
  }
}

// After a cancel, or a failure, those behind catch up with the one that is ahead.
void TestTurnsEndEarly() {
  for (const bool failed : {false, true}) {
    CancelToken cancel;
    Turns turns(3, 1000, cancel);
    std::vector<int64_t> done(3, 0);
    for (int n = 0; const auto turn = turns.Next(); ++n) {
      done[size_t(turn->member)] += turn->count;
      if (!failed && n == 4) cancel.Cancel();
      turns.Done(*turn, failed && n == 4);
    }
    EXPECT(done == std::vector<int64_t>(3, 16));
  }
}

void TestCancel() {
  Ensemble e(Small(ControlAlgorithm::kH2o, {1, 2, 3}), 2);
  CancelToken cancelled;
  cancelled.Cancel();
  bool aborted = false;
  try {
    e.learner.Update(100, e.lanes, cancelled);
  } catch (const Error& error) {
    aborted = error.code() == std::string("ABORTED");
  }
  EXPECT(aborted);
  EXPECT(e.learner.member(0).step == 0 && e.learner.member(2).step == 0);
}

// Whenever it comes.
void TestCancelUnderway() {
  for (const int threads : {1, 2, 4}) {
    Ensemble e(Small(ControlAlgorithm::kSac, {1, 2, 3}), threads);
    CancelToken cancel;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      cancel.Cancel();
    });
    bool aborted = false;
    try {
      e.learner.Update(int64_t(1) << 40, e.lanes, cancel);
    } catch (const Error& error) {
      aborted = error.code() == std::string("ABORTED");
    }
    other.join();
    EXPECT(aborted);
    for (int64_t m = 1; m < 3; ++m) EXPECT(e.learner.member(m).step == e.learner.member(0).step);
  }
}

// A loss that overflows is told, and the learner can go on from a saved state.
void TestNotFinite() {
  Ensemble e(Small(ControlAlgorithm::kH2o, {1}), 1);
  e.Update(3);
  const std::string saved = e.learner.State(true);
  Columns huge(150, 5, 0);
  for (float& r : huge.rewards) r = 3e38f;
  e.learner.Push(0, huge.view());
  bool told = false;
  try {
    e.Update(50);
  } catch (const Error& error) {
    told = error.code() == std::string("NON_FINITE");
  }
  EXPECT(told);
  e.learner.Restore(saved.data(), saved.size());
  Ensemble fresh(Small(ControlAlgorithm::kH2o, {1}), 1);
  fresh.Update(6);
  e.Update(3);
  EXPECT(e.Member(0) == fresh.Member(0));
}

void TestSteadyState() {
  for (ControlAlgorithm algorithm : kAll) {
    Ensemble e(Small(algorithm, {1, 2}), 1);
    e.Update(2);
    const long before = allocations;
    e.Update(1);
    const long once = allocations - before;
    e.Update(16);
    const long twice = allocations - before;
    // What a call allocates does not depend on how many updates it makes.
    EXPECT(twice == 2 * once);
  }
}

void TestRing() {
  CpuBackend backend(1);
  Replay ring(backend.table(), {1, 1}, 5, "test");
  const int64_t width = ring.shape().width();
  std::vector<float> rows(size_t(13 * width)), read(size_t(5 * width));
  for (int i = 0; i < 13; ++i) rows[size_t(i * width)] = float(i);
  for (int i = 0; i < 4; ++i) ring.Append(&rows[size_t(i * width)], 1);
  ring.Append(&rows[size_t(4 * width)], 9);  // more than there is room for
  EXPECT(ring.size() == 5 && ring.position() == 3);
  ring.Read(0, 5, read.data());
  for (int64_t age = 0; age < 5; ++age) EXPECT(read[size_t(age * width)] == float(8 + age));
}

// More rows than are packed at a time, from the middle, past the ring's seam.
void TestRead() {
  ControlSettings s = Small(ControlAlgorithm::kSac, {1});
  s.sim_capacity = 3000;
  Ensemble e(s, 1, 1700);
  const Columns more(2500, 9, 1);
  e.learner.Push(0, more.view());
  constexpr int64_t kFirst = 700, kCount = 2300;  // 500 of the first 1700 are kept
  std::vector<float> states(kCount * kState), actions(kCount * kAction), rewards(kCount),
      next(kCount * kState);
  std::vector<uint8_t> terminal(kCount);
  e.learner.Read(0, kFirst, kCount, states.data(), actions.data(), rewards.data(), next.data(),
                 terminal.data());
  constexpr int64_t kFrom = kFirst - 500;
  const auto same = [](const auto& all, const auto& read, int64_t width) {
    return std::equal(read.begin(), read.end(), all.begin() + kFrom * width);
  };
  EXPECT(same(more.states, states, kState) && same(more.actions, actions, kAction));
  EXPECT(same(more.next, next, kState) && same(more.rewards, rewards, 1));
  EXPECT(same(more.terminal, terminal, 1));
}

void TestSpreads() {
  CpuBackend backend(1);
  Replay real(backend.table(), {2, 1}, 4, "test");
  const float states[4] = {1, 3, 1, 3};  // mean 2, deviation 1, mean square 5
  for (float x : states) {
    const float row[7] = {x, 4, 0.5f, x + 3, 4 + x, 0, 0};
    real.Append(row, 1);
  }
  const auto near = [](double a, double b) { return std::abs(a - b) < 1e-6; };
  const auto spread = [&](NextSpread mode) {
    return MeasureTransitions(real, mode, false).next_spread;
  };
  EXPECT(near(spread(NextSpread::kData)[0], 1.001) && near(spread(NextSpread::kData)[1], 0.001));
  EXPECT(near(spread(NextSpread::kOneStep)[0], 0.001) &&
         near(spread(NextSpread::kOneStep)[1], 1.001));
  // Over 4 rows and 40 of zeros: E[x^2] = 5 / 11, E[x] = 2 / 11.
  EXPECT(near(spread(NextSpread::kPaperCode)[0], std::sqrt(5 / 11.0 - 4 / 121.0) + 1e-3));
  const auto plain = MeasureTransitions(real, NextSpread::kData, false);
  EXPECT(plain.shift[0] == 0 && plain.scale[4] == 1);
  const auto standard = MeasureTransitions(real, NextSpread::kData, true);
  EXPECT(near(standard.shift[0], 2) && near(standard.shift[3], 2) && near(standard.shift[2], 0.5));
  EXPECT(near(standard.scale[0], 1 / 1.001));
}

// Next states differ by a shift of one standard deviation in one column:
//   ln P_real / P_sim = 1/2 - (next - state)
void TestKnownRatio() {
  ControlSettings s = Small(ControlAlgorithm::kH2o, {6});
  s.discriminators.batch = 256;
  s.discriminators.noise = 0.05f;
  s.h2o.next_spread = NextSpread::kOneStep;
  s.sim_capacity = 20000;
  CpuBackend backend(1);
  CpuLanes lanes(backend.pool());
  ControlLearner learner(backend.table(), lanes.device(0), s, Columns(20000, 1, 0).view());
  learner.Push(0, Columns(20000, 2, 1).view());
  CancelToken never;
  learner.Update(1500, lanes, never);
  const Columns held_out(2000, 3, 1);
  std::vector<float> q1(2000), q2(2000), ratio(2000), gap(2000);
  learner.Inspect(0, held_out.view(), q1.data(), q2.data(), ratio.data(), gap.data());
  double xy = 0, xx = 0, yy = 0, sx = 0, sy = 0;
  for (size_t i = 0; i < 2000; ++i) {
    const double truth = 0.5 - (held_out.next[i * kState] - held_out.states[i * kState]);
    sx += truth, sy += ratio[i], xx += truth * truth, yy += double(ratio[i]) * ratio[i];
    xy += truth * ratio[i];
    EXPECT(std::abs(ratio[i]) <= 4.0001 && gap[i] >= 1e-30f && gap[i] <= 4.0001);
  }
  const double n = 2000;
  const double correlation = (xy / n - sx / n * sy / n) /
                             std::sqrt((xx / n - sx * sx / n / n) * (yy / n - sy * sy / n / n));
  const double mean = sy / n;
  // The expected log ratio of simulated rows is -KL = -1/2; these networks reach 0.96 and -0.5.
  EXPECT_MESSAGE(correlation > 0.9, "correlation " + std::to_string(correlation));
  EXPECT_MESSAGE(std::abs(mean + 0.5) < 0.15, "mean " + std::to_string(mean));
}

}  // namespace

int main() {
  TestThreadsAndMembers();
  TestResume();
  TestTurns();
  TestTurnsEndEarly();
  TestCancel();
  TestCancelUnderway();
  TestNotFinite();
  TestSteadyState();
  TestRing();
  TestRead();
  TestSpreads();
  TestKnownRatio();
  return Report();
}
