// Milliseconds of one update of the control learners at HalfCheetah's sizes (17 observed numbers, 6
// actions), medians over rounds: by the clock, and in processor time, which other programs disturb
// less. Options: --threads N (1), --members N (1), --rounds N (7), --algorithm NAME (all), --size
// HIDDENxBATCH (256x256, 128x128).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "control/learner.h"
#include "cpu/backend.h"
#include "cpu/lanes.h"

using namespace alignlab;

namespace {

constexpr int64_t kState = 17, kAction = 6, kRows = 20000;

struct Kind {
  const char* name;
  ControlAlgorithm algorithm;
  double real;  // part of the batch
  double cost;  // about, in updates of SAC
};
constexpr Kind kKinds[] = {
    {"sac", ControlAlgorithm::kSac, 0, 1},   {"mix", ControlAlgorithm::kMix, 0.5, 1},
    {"darc", ControlAlgorithm::kDarc, 0, 2}, {"darc+", ControlAlgorithm::kDarcPlus, 0.5, 2},
    {"h2o", ControlAlgorithm::kH2o, 0.5, 2}, {"cql", ControlAlgorithm::kCql, 1, 12}};

ControlSettings Settings(const Kind& kind, int64_t hidden, int64_t batch, int64_t members) {
  ControlSettings s;
  s.algorithm = kind.algorithm;
  s.state_size = kState;
  s.action_size = kAction;
  s.hidden = {hidden, hidden};
  s.batch = batch;
  s.real_rows = int64_t(kind.real * double(batch));
  s.policy_rate = s.critic_rate = s.alpha_rate = 3e-4f;
  s.discount = 0.99f;
  s.target_rate = 0.005f;
  s.target_entropy = -float(kAction);
  s.darc_clip = 10;
  s.discriminators = {s.hidden, batch, 3e-4f, 0.1f, 2, false};
  s.h2o.beta = 0.01f;
  s.h2o.next_samples = 10;
  s.h2o.ratio_low = 1e-5f;
  s.h2o.ratio_high = 1;
  s.h2o.gap_high = 10;
  s.h2o.difference_limit = 1000;
  s.cql = {5, 1, kind.algorithm == ControlAlgorithm::kCql ? 10 : 0};
  for (int64_t m = 0; m < members; ++m) s.seeds.push_back(uint64_t(m));
  s.sim_capacity = kRows;
  return s;
}

struct Columns {
  std::vector<float> states, actions, rewards, next;
  std::vector<uint8_t> terminal;
  Columns(const ControlOperations& operations, void* device, int64_t n, uint64_t seed)
      : states(size_t(n * kState)),
        actions(size_t(n * kAction)),
        rewards(size_t(n)),
        next(states.size()),
        terminal(size_t(n)) {
    uint32_t purpose = 0;
    for (auto* column : {&states, &actions, &rewards, &next})
      operations.uniforms(device, {seed, 0, ++purpose, column->data(), int64_t(column->size())});
  }
  TransitionColumns view() const {
    return {states.data(), actions.data(),  rewards.data(),
            next.data(),   terminal.data(), int64_t(rewards.size())};
  }
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Measure(const Kind& kind, int64_t hidden, int64_t batch, int threads, int64_t members,
             int rounds) {
  CpuBackend backend(threads);
  CpuLanes lanes(backend.pool());
  void* single = lanes.device(0);
  const ControlSettings settings = Settings(kind, hidden, batch, members);
  const ControlOperations& operations = *backend.table().control;
  const Columns real(operations, single, settings.needs_real() ? kRows : 0, 1);
  ControlLearner learner(backend.table(), single, settings, real.view());
  const Columns sim(operations, single, kRows, 2);
  for (int64_t m = 0; m < members; ++m) learner.Push(m, sim.view());
  // A round of about a quarter of a second, and a short one before, unmeasured.
  const double size = double(hidden * hidden * batch) / (256.0 * 256 * 256);
  const int64_t updates = std::max<int64_t>(2, int64_t(35 / (size * kind.cost * double(members))));
  CancelToken never;
  learner.Update(2, lanes, never);
  std::vector<double> wall, cpu;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t used = std::clock();
    learner.Update(updates, lanes, never);
    cpu.push_back(1e3 * double(std::clock() - used) / CLOCKS_PER_SEC / double(updates));
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    wall.push_back(passed.count() / double(updates));
  }
  std::printf("%-6s %4d x %-4d %2d threads %2d members %9.2f ms %9.2f ms of processor time\n",
              kind.name, int(hidden), int(batch), threads, int(members), Median(wall), Median(cpu));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1, rounds = 7;
  int64_t members = 1;
  std::string algorithm;
  std::vector<std::string> sizes{"256x256", "128x128"};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--threads") threads = std::stoi(value);
    if (name == "--members") members = std::stoi(value);
    if (name == "--rounds") rounds = std::stoi(value);
    if (name == "--algorithm") algorithm = value;
    if (name == "--size") sizes = {value};
  }
  for (const std::string& size : sizes)
    for (const Kind& kind : kKinds) {
      if (!algorithm.empty() && algorithm != kind.name) continue;
      const size_t cross = size.find('x');
      Measure(kind, std::stoi(size.substr(0, cross)), std::stoi(size.substr(cross + 1)), threads,
              members, rounds);
    }
}
