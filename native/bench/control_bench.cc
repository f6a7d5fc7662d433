// Milliseconds of one update of the control learners at HalfCheetah's sizes (17 observed numbers, 6
// actions), medians over rounds: by the clock, and in processor time, which other programs disturb
// less; and the share of the time in which the products alone would be done at the rate that
// multiply-adds on registers reach, measured in the same rounds. Options: --threads N (1) or
// --device cuda (by ALIGNLAB_CUDA_LIBRARY), --members N (1), --algorithm NAME (all), --size
// HIDDENxBATCH (256x256, 128x128), --rounds N (7), --updates N of a round (as many as take about a
// quarter of a second on a core, 8 at least).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/cuda_library.h"
#include "control/learner.h"
#include "cpu/backend.h"
#include "cpu/lanes.h"
#include "test/transitions.h"

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

struct Columns : test::Transitions {
  Columns(int64_t n, uint64_t seed) {
    states.resize(size_t(n * kState));
    actions.resize(size_t(n * kAction));
    rewards.resize(size_t(n));
    next.resize(states.size());
    terminal.resize(size_t(n));
    const CpuBackend cpu(1);
    uint32_t purpose = 0;
    for (auto* column : {&states, &actions, &rewards, &next})
      cpu.table().control->uniforms(cpu.table().device,
                                    {seed, 0, ++purpose, column->data(), int64_t(column->size())});
  }
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The backend's table, whose products count their operations before they do them.
class CountedProducts {
 public:
  explicit CountedProducts(const Backend& backend) : table_(backend) {
    ops_ = &backend.ops;
    table_.ops.linear = [](void* device, const LinearArgs& a) {
      Count(a.x.rows, a.weight);
      ops_->linear(device, a);
    };
    table_.ops.linear_input_grad = [](void* device, const LinearInputGradArgs& a) {
      Count(a.d_y.rows, a.weight);
      ops_->linear_input_grad(device, a);
    };
    table_.ops.linear_weight_grad = [](void* device, const LinearWeightGradArgs& a) {
      Count(a.d_y.rows, a.d_weight);
      ops_->linear_weight_grad(device, a);
    };
  }
  const Backend& table() const { return table_; }
  // Since the last call.
  static double Take() { return std::exchange(operations_, 0); }

 private:
  static void Count(int64_t rows, const Weight& w) {
    operations_ += 2.0 * double(rows) * double(w.out) * double(w.in);
  }
  static inline const Operations* ops_ = nullptr;
  static inline double operations_ = 0;
  Backend table_;
};

// Operations of the products in one update of a member, counted on the CPU.
double OperationsOf(const Kind& kind, int64_t hidden, int64_t batch) {
  const CpuBackend one(1);
  const CountedProducts counted(one.table());
  const ControlSettings settings = Settings(kind, hidden, batch, 1);
  const Columns real(settings.needs_real() ? kRows : 0, 1), sim(kRows, 2);
  ControlLearner learner(counted.table(), one.table().device, settings, real.view());
  learner.Push(0, sim.view());
  SingleLane lane(one.table().device);
  CountedProducts::Take();
  learner.Update(1, lane, CancelToken());
  return CountedProducts::Take();
}

double SecondsOf(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Where learners run.
struct Target {
  int64_t ruler_rounds = 1 << 20;  // some ten milliseconds; an emulated GPU takes minutes
  std::string name;
  std::unique_ptr<CpuBackend> cpu;
  std::shared_ptr<const Backend> gpu;
  const Backend* backend;
  std::unique_ptr<Lanes> lanes;

  explicit Target(int threads)
      : name(std::to_string(threads) + " threads"),
        cpu(std::make_unique<CpuBackend>(threads)),
        backend(&cpu->table()),
        lanes(std::make_unique<CpuLanes>(cpu->pool())) {}
  explicit Target(std::shared_ptr<const Backend> device)
      : ruler_rounds(CudaLibrary::Get().Describe(0).multiprocessors > 1 ? 1 << 18 : 1 << 6),
        name("cuda"),
        gpu(std::move(device)),
        backend(gpu.get()),
        lanes(std::make_unique<SingleLane>(backend->device)) {}
};

void Measure(const Kind& kind, int64_t hidden, int64_t batch, const Target& target, int64_t members,
             int rounds, int64_t updates) {
  const Backend& backend = *target.backend;
  Lanes& lanes = *target.lanes;
  const ControlSettings settings = Settings(kind, hidden, batch, members);
  const Columns real(settings.needs_real() ? kRows : 0, 1), sim(kRows, 2);
  ControlLearner learner(backend, lanes.device(0), settings, real.view());
  for (int64_t m = 0; m < members; ++m) learner.Push(m, sim.view());
  // A round of about a quarter of a second, and a short one before, unmeasured.
  const double size = double(hidden * hidden * batch) / (256.0 * 256 * 256);
  if (updates == 0)
    updates = std::max<int64_t>(8, int64_t(35 / (size * kind.cost * double(members))));
  CancelToken never;
  learner.Update(2, lanes, never);
  std::vector<double> wall, cpu, rate;
  for (int round = 0; round < rounds; ++round) {
    const std::clock_t used = std::clock();
    const double seconds = SecondsOf([&] { learner.Update(updates, lanes, never); });
    cpu.push_back(1e3 * double(std::clock() - used) / CLOCKS_PER_SEC / double(updates));
    wall.push_back(1e3 * seconds / double(updates));
    int64_t operations = 0;
    const double burnt = SecondsOf(
        [&] { operations = backend.ops.burn(backend.device, DType::kF32, target.ruler_rounds); });
    rate.push_back(double(operations) / burnt);
  }
  const double all = OperationsOf(kind, hidden, batch) * double(members);
  std::printf(
      "%-6s %4d x %-4d %s %2d members %9.2f ms %9.2f ms of processor time, %5.1f %% of "
      "the limit\n",
      kind.name, int(hidden), int(batch), target.name.c_str(), int(members), Median(wall),
      Median(cpu), 100 * all / Median(rate) / (1e-3 * Median(wall)));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1, rounds = 7;
  int64_t members = 1, updates = 0;
  std::string algorithm, device;
  std::vector<std::string> sizes{"256x256", "128x128"};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--threads") threads = std::stoi(value);
    if (name == "--device") device = value;
    if (name == "--members") members = std::stoi(value);
    if (name == "--rounds") rounds = std::stoi(value);
    if (name == "--updates") updates = std::stoi(value);
    if (name == "--algorithm") algorithm = value;
    if (name == "--size") sizes = {value};
  }
  const Target target =
      device == "cuda" ? Target(CudaLibrary::Get().Open(0, /*exact=*/true)) : Target(threads);
  for (const std::string& size : sizes)
    for (const Kind& kind : kKinds) {
      if (!algorithm.empty() && algorithm != kind.name) continue;
      const size_t cross = size.find('x');
      Measure(kind, std::stoi(size.substr(0, cross)), std::stoi(size.substr(cross + 1)), target,
              members, rounds, updates);
    }
}
