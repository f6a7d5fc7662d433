#include "control/learner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/noted_step.h"
#include "control/turns.h"
#include "error.h"

namespace alignlab {

namespace {

// Updates between two looks at the cancel flag and at what failed, which waits for the device.
constexpr int64_t kRound = 16;
constexpr int64_t kPiece = 1024;  // rows that are packed or unpacked at a time

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

// Transition r as a row.
void Pack(const TransitionShape& shape, const TransitionColumns& from, int64_t r, float* row) {
  std::memcpy(row, from.states + r * shape.state, size_t(shape.state) * 4);
  std::memcpy(row + shape.state, from.actions + r * shape.action, size_t(shape.action) * 4);
  std::memcpy(row + shape.next(), from.next + r * shape.state, size_t(shape.state) * 4);
  row[shape.reward()] = from.rewards[r];
  row[shape.terminal()] = from.terminal[r] ? 1 : 0;
}

}  // namespace

ControlLearner::ControlLearner(const Backend& backend, void* single_thread,
                               ControlSettings settings, const TransitionColumns& real)
    : backend_(backend),
      single_thread_(single_thread),
      shared_{settings,
              ControlLayout(settings, backend.panel),
              {settings.state_size, settings.action_size},
              nullptr,
              {}},
      real_(backend, shared_.shape, std::max<int64_t>(1, real.n),
            "the real transitions of a learner") {
  Append(real_, real, "the real data");
  shared_.real = &real_;
  if (settings.has_discriminators()) {
    TransitionStatistics of =
        MeasureTransitions(real_, settings.h2o.next_spread, settings.discriminators.normalize);
    std::vector<float> all = std::move(of.next_spread);
    all.insert(all.end(), of.shift.begin(), of.shift.end());
    all.insert(all.end(), of.scale.begin(), of.scale.end());
    shared_.statistics = Buffer(backend, all.size() * 4, "the statistics of a learner");
    ComputeOn(single_thread).CopyIn(shared_.statistics.data(), all.data(), int64_t(all.size()) * 4);
  }
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

Workspace& ControlLearner::WorkspaceOf(int64_t lane) {
  while (int64_t(scratch_.size()) <= lane) {
    auto scratch = std::make_unique<Scratch>(backend_);
    scratch->arena.Plan(
        [&](Carver& carver) {
          scratch->workspace.Plan(carver, shared_.settings, shared_.layout, backend_.memory.host);
        },
        "the scratch memory of a learner");
    backend_.memory.zero(backend_.device, scratch->workspace.gradients,
                         size_t(shared_.layout.total) * 4);
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
  std::vector<float> piece(size_t(std::min(kPiece, rows.n) * shape.width()));
  for (int64_t first = 0; first < rows.n; first += kPiece) {
    const int64_t n = std::min(kPiece, rows.n - first);
    for (int64_t i = 0; i < n; ++i) Pack(shape, rows, first + i, &piece[size_t(i * shape.width())]);
    to.Append(piece.data(), n);
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

void ControlLearner::RequireNoFailure() const {
  const ControlMember* failed = nullptr;
  for (const auto& member : members_)
    if (member->TakeFailed(ComputeOn(backend_.device)) && !failed) failed = member.get();
  if (!failed) return;
  throw Error("NON_FINITE", "A loss of the learner with seed " + std::to_string(failed->seed()) +
                                " is not finite at update " + std::to_string(failed->step + 1) +
                                "; the update was left out. Restore an earlier state with a "
                                "lower learning rate, or look for huge rewards or states.");
}

template <class F>
void ControlLearner::InRounds(int64_t updates, const CancelToken& cancel, const F& update) {
  for (int64_t done = 0; done < updates; done += kRound) {
    cancel.ThrowIfCancelled();
    update(std::min(kRound, updates - done));
    RequireNoFailure();
  }
}

// A lane has one member at a time. Two threads on one member do 1.4 times what one does, so half as
// many members as lanes keep them busier than one member with all threads.
void ControlLearner::UpdateOnLanes(int64_t updates, Lanes& lanes, const CancelToken& cancel) {
  const int64_t before = step();
  Turns turns(members(), updates, cancel);
  lanes.Each(lanes.count(), [&](int64_t, int lane) {
    const Compute compute = ComputeOn(lanes.device(lane));
    while (const auto turn = turns.Next()) {
      ControlMember& member = *members_[size_t(turn->member)];
      for (int64_t i = 0; i < turn->count; ++i) member.Update(compute, WorkspaceOf(lane));
      turns.Done(*turn, member.TakeFailed(compute));
    }
  });
  RequireNoFailure();
  if (step() - before < updates) cancel.ThrowIfCancelled();
}

// Each member with all threads.
void ControlLearner::UpdateInTurn(int64_t updates) {
  for (const auto& member : members_)
    for (int64_t i = 0; i < updates; ++i)
      member->Update(ComputeOn(backend_.device), WorkspaceOf(0));
}

// An update of every member as one step, each on a branch: alone, the products of one member leave
// most of a GPU idle. All members do the same on networks of their own, so a device makes each
// product of all of them at once.
void ControlLearner::UpdateOnBranches(int64_t updates) {
  const Compute compute = ComputeOn(backend_.device);
  for (int64_t i = 0; i < updates; ++i) {
    const int64_t before = step();
    try {
      NotedStep noted(backend_, true, members());
      for (int64_t m = 0; m < members(); ++m) {
        noted.Branch(m);
        members_[size_t(m)]->Update(compute, WorkspaceOf(m));
      }
      noted.Run();
    } catch (...) {  // nothing has run
      for (const auto& member : members_) member->step = before;
      throw;
    }
  }
}

std::vector<ControlMetrics> ControlLearner::Update(int64_t updates, Lanes& lanes,
                                                   const CancelToken& cancel) {
  RequireFilled(updates);
  const bool branches = backend_.steps.begin != nullptr;
  const bool in_turn = !branches && 2 * members() <= lanes.count();
  const int64_t workspaces = branches ? members() : in_turn ? 1 : lanes.count();
  for (int64_t i = 0; i < workspaces; ++i) WorkspaceOf(i);
  for (const auto& member : members_) member->StartTally(ComputeOn(backend_.device));
  if (branches)
    InRounds(updates, cancel, [&](int64_t n) { UpdateOnBranches(n); });
  else if (in_turn)
    InRounds(updates, cancel, [&](int64_t n) { UpdateInTurn(n); });
  else
    UpdateOnLanes(updates, lanes, cancel);
  std::vector<ControlMetrics> means;
  for (const auto& member : members_) {
    means.push_back(member->ReadSums(ComputeOn(backend_.device)));
    for (double& value : means.back()) value /= double(std::max<int64_t>(1, updates));
  }
  return means;
}

void ControlLearner::Act(int64_t member, const float* states, int64_t rows, bool sample,
                         float* actions) {
  members_[size_t(member)]->Act(ComputeOn(single_thread_), WorkspaceOf(0), states, rows, sample,
                                actions);
}

void ControlLearner::Inspect(int64_t member, const TransitionColumns& rows, float* q1, float* q2,
                             float* log_ratio, float* gap) {
  Replay packed(backend_, shared_.shape, std::max<int64_t>(1, rows.n), "transitions to inspect");
  Append(packed, rows, "the transitions to inspect");
  members_[size_t(member)]->Inspect(ComputeOn(single_thread_), WorkspaceOf(0), packed.ring().rows,
                                    rows.n, q1, q2, log_ratio, gap);
}

void ControlLearner::Read(int64_t member, int64_t first, int64_t count, float* states,
                          float* actions, float* rewards, float* next, uint8_t* terminal) const {
  const Replay& from = member < 0 ? real_ : members_[size_t(member)]->sim();
  const TransitionShape& shape = shared_.shape;
  std::vector<float> piece(size_t(std::min(kPiece, count) * shape.width()));
  for (int64_t r = 0; r < count; ++r) {
    if (r % kPiece == 0) from.Read(first + r, std::min(kPiece, count - r), piece.data());
    const float* row = &piece[size_t(r % kPiece * shape.width())];
    std::memcpy(states + r * shape.state, row, size_t(shape.state) * 4);
    std::memcpy(actions + r * shape.action, row + shape.state, size_t(shape.action) * 4);
    std::memcpy(next + r * shape.state, row + shape.next(), size_t(shape.state) * 4);
    rewards[r] = row[shape.reward()];
    terminal[r] = row[shape.terminal()] != 0;
  }
}

std::vector<float> ControlLearner::Parameters(int64_t member) const {
  const ControlLayout& layout = shared_.layout;
  std::vector<float> flat(size_t(layout.total)), out;
  ComputeOn(single_thread_)
      .CopyOut(flat.data(), members_[size_t(member)]->parameters(), layout.total * 4);
  std::vector<const MlpLayout*> nets{&layout.policy, &layout.critic[0], &layout.critic[1]};
  if (shared_.settings.has_discriminators())
    nets.insert(nets.end(), {&layout.disc_sa, &layout.disc_sas});
  for (const MlpLayout* net : nets) {
    const size_t at = out.size();
    out.resize(at + size_t(PlainElements(*net)));
    ToPlain(*net, backend_.panel, flat.data(), &out[at]);
  }
  for (int64_t scalar : {layout.policy_scalars, layout.policy_scalars + 1, layout.alpha})
    out.push_back(flat[size_t(scalar)]);
  return out;
}

}  // namespace alignlab
