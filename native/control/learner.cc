#include "control/learner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.h"

namespace alignlab {

namespace {

// Updates between two looks at the cancel flag: members may then stop together.
constexpr int64_t kRound = 16;

[[noreturn]] void RefuseValue(const char* what, int64_t row, const char* column, int64_t at,
                              float value) {
  throw Error("DATA_INVALID", std::string("Row ") + std::to_string(row) + " of " + what + " has " +
                                  std::to_string(value) + " in column " + std::to_string(at) +
                                  " of its " + column +
                                  "; only finite numbers can be learned from. Nothing was added.");
}

void RequireFinite(const float* x, int64_t n, int64_t width, const char* what, const char* column) {
  for (int64_t i = 0; i < n * width; ++i)
    if (!std::isfinite(x[i])) RefuseValue(what, i / width, column, i % width, x[i]);
}

}  // namespace

ControlLearner::ControlLearner(const Backend& backend, const ControlOperations& operations,
                               void* single_thread, ControlSettings settings,
                               const TransitionColumns& real)
    : backend_(backend),
      operations_(operations),
      single_thread_(single_thread),
      shared_{settings,
              ControlLayout(settings, backend.panel),
              {settings.state_size, settings.action_size},
              nullptr,
              {}},
      real_(shared_.shape, std::max<int64_t>(1, real.n), "the real transitions of a learner") {
  Append(real_, real, "the real data");
  shared_.real = &real_;
  if (shared_.settings.has_discriminators())
    shared_.statistics =
        MeasureTransitions(real_, settings.h2o.next_spread, settings.discriminators.normalize);
  for (uint64_t seed : settings.seeds)
    members_.push_back(std::make_unique<ControlMember>(ComputeOn(single_thread), shared_, seed));
  WorkspaceOf(0);
}

size_t ControlLearner::bytes() const {
  size_t sum = real_.bytes();
  for (const auto& member : members_) sum += member->bytes();
  for (const auto& scratch : scratch_) sum += scratch->arena.bytes();
  return sum;
}

Workspace& ControlLearner::WorkspaceOf(int lane) {
  while (int(scratch_.size()) <= lane) {
    auto scratch = std::make_unique<Scratch>(backend_);
    scratch->arena.Plan(
        [&](Carver& carver) { scratch->workspace.Plan(carver, shared_.settings, shared_.layout); },
        "the scratch memory of a learner");
    std::memset(scratch->workspace.gradients, 0, size_t(shared_.layout.total) * 4);
    scratch_.push_back(std::move(scratch));
  }
  return scratch_[size_t(lane)]->workspace;
}

void ControlLearner::Append(Replay& to, const TransitionColumns& rows, const char* what) {
  const TransitionShape& shape = shared_.shape;
  RequireFinite(rows.states, rows.n, shape.state, what, "observation");
  RequireFinite(rows.actions, rows.n, shape.action, what, "action");
  RequireFinite(rows.rewards, rows.n, 1, what, "reward");
  RequireFinite(rows.next, rows.n, shape.state, what, "next observation");
  to.Reserve(rows.n);
  for (int64_t r = 0; r < rows.n; ++r) {
    float* row = to.Next();
    std::memcpy(row, rows.states + r * shape.state, size_t(shape.state) * 4);
    std::memcpy(row + shape.state, rows.actions + r * shape.action, size_t(shape.action) * 4);
    std::memcpy(row + shape.next(), rows.next + r * shape.state, size_t(shape.state) * 4);
    row[shape.reward()] = rows.rewards[r];
    row[shape.terminal()] = rows.terminal[r] ? 1 : 0;
  }
}

void ControlLearner::Push(int64_t member, const TransitionColumns& rows) {
  Append(members_[size_t(member)]->sim(), rows, "the simulated transitions");
}

void ControlLearner::RequireFilled(int64_t updates) const {
  if (updates <= 0 || !shared_.settings.needs_sim()) return;
  for (const auto& member : members_)
    if (member->sim().size() == 0)
      throw Error("DATA_INVALID", "The learner with seed " + std::to_string(member->seed()) +
                                      " has no simulated transitions yet; push() some before "
                                      "update().");
}

std::vector<ControlMetrics> ControlLearner::Update(int64_t updates, Lanes& lanes,
                                                   const CancelToken& cancel) {
  RequireFilled(updates);
  const int64_t count = members();
  const int width = lanes.count();
  for (int lane = 0; lane < width; ++lane) WorkspaceOf(lane);
  std::vector<ControlMetrics> sums(size_t(count), ControlMetrics{});
  // Whole rounds of members go one to a thread; what is left over shares all threads.
  const int64_t apart = width > 1 ? count / width * width : 0;
  for (int64_t done = 0; done < updates; done += kRound) {
    cancel.ThrowIfCancelled();
    const int64_t n = std::min(kRound, updates - done);
    const auto run = [&](int64_t member, Workspace& w, void* device) {
      const Compute compute = ComputeOn(device);
      for (int64_t i = 0; i < n; ++i)
        members_[size_t(member)]->Update(compute, w, sums[size_t(member)]);
    };
    lanes.Each(apart, [&](int64_t i, int lane) { run(i, WorkspaceOf(lane), lanes.device(lane)); });
    for (int64_t i = apart; i < count; ++i) run(i, WorkspaceOf(0), backend_.device);
  }
  for (ControlMetrics& metrics : sums)
    for (double& value : metrics) value /= double(std::max<int64_t>(1, updates));
  return sums;
}

void ControlLearner::Act(int64_t member, const float* states, int64_t rows, bool sample,
                         float* actions) {
  members_[size_t(member)]->Act(ComputeOn(single_thread_), WorkspaceOf(0), states, rows, sample,
                                actions);
}

void ControlLearner::Inspect(int64_t member, const TransitionColumns& rows, float* q1, float* q2,
                             float* log_ratio, float* gap) {
  Replay packed(shared_.shape, std::max<int64_t>(1, rows.n), "transitions to inspect");
  Append(packed, rows, "the transitions to inspect");
  members_[size_t(member)]->Inspect(ComputeOn(single_thread_), WorkspaceOf(0), packed.data(),
                                    rows.n, q1, q2, log_ratio, gap);
}

void ControlLearner::Read(int64_t member, int64_t first, int64_t count, float* states,
                          float* actions, float* rewards, float* next, uint8_t* terminal) const {
  const Replay& from = member < 0 ? real_ : members_[size_t(member)]->sim();
  const TransitionShape& shape = shared_.shape;
  for (int64_t r = 0; r < count; ++r) {
    const float* row = from.row(first + r);
    std::memcpy(states + r * shape.state, row, size_t(shape.state) * 4);
    std::memcpy(actions + r * shape.action, row + shape.state, size_t(shape.action) * 4);
    std::memcpy(next + r * shape.state, row + shape.next(), size_t(shape.state) * 4);
    rewards[r] = row[shape.reward()];
    terminal[r] = row[shape.terminal()] != 0;
  }
}

}  // namespace alignlab
