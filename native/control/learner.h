// An ensemble of off-dynamics learners: members differ by their seed alone and share the real
// data; each has simulated transitions of its own. Member k equals a run with its seed alone, bit
// for bit, whatever the number of threads.
#pragma once

#include <memory>
#include <string>

#include "backend/lanes.h"
#include "cancel.h"
#include "control/member.h"

namespace alignlab {

// Columns of n transitions: states (n, S), actions (n, A), rewards (n), next (n, S), terminal (n).
struct TransitionColumns {
  const float *states, *actions, *rewards, *next;
  const uint8_t* terminal;
  int64_t n;
};

class ControlLearner {
 public:
  // `real` may hold no rows where the algorithm needs none. Throws DATA_INVALID as Push does.
  // `single_thread`: the device that calls other than Update use.
  ControlLearner(const Backend& backend, void* single_thread, ControlSettings settings,
                 const TransitionColumns& real);

  const ControlSettings& settings() const { return shared_.settings; }
  int64_t members() const { return int64_t(members_.size()); }
  ControlMember& member(int64_t i) { return *members_[size_t(i)]; }
  const ControlLayout& layout() const { return shared_.layout; }
  const Replay& real() const { return real_; }
  int64_t step() const { return members_.front()->step; }
  size_t bytes() const;

  // Appends simulated transitions of one member. Throws DATA_INVALID, naming row and column, for a
  // value that is not finite; nothing has been appended then.
  void Push(int64_t member, const TransitionColumns& rows);

  // `updates` of every member; per member the means over them. Cancelling stops all members after
  // the same number of updates. Throws NON_FINITE when a loss is not finite; then no weight of its
  // agent has changed since the update before.
  std::vector<ControlMetrics> Update(int64_t updates, Lanes& lanes, const CancelToken& cancel);

  // These run on the calling thread, never while Update runs.
  void Act(int64_t member, const float* states, int64_t rows, bool sample, float* actions);
  void Inspect(int64_t member, const TransitionColumns& rows, float* q1, float* q2,
               float* log_ratio, float* gap);
  // Rows [first, first + count) of a member's simulated transitions, the oldest first; member -1:
  // of the real data.
  void Read(int64_t member, int64_t first, int64_t count, float* states, float* actions,
            float* rewards, float* next, uint8_t* terminal) const;

  // The trained numbers of a member: network by network (policy, both critics, the discriminators)
  // row-major weights and biases layer by layer; then m, b and ln alpha.
  std::vector<float> Parameters(int64_t member) const;

  // Everything that the next update depends on but the settings and the real data; without the
  // simulated transitions, Restore leaves those of this learner in place. It throws DATA_INVALID
  // for bytes of another learner or cut short; nothing has changed then.
  std::string State(bool transitions) const;
  void Restore(const char* bytes, size_t size);

 private:
  void Append(Replay& to, const TransitionColumns& rows, const char* what);
  void RequireFilled(int64_t updates) const;
  void RequireNoFailure() const;
  Compute ComputeOn(void* device) const { return {&backend_, device}; }
  // update(n) several times, `updates` in all; between them cancelling and failures are looked at.
  template <class F>
  void InRounds(int64_t updates, const CancelToken& cancel, const F& update);
  void UpdateOnLanes(int64_t updates, Lanes& lanes, const CancelToken& cancel);
  void UpdateInTurn(int64_t updates);
  void UpdateOnBranches(int64_t updates);
  Workspace& WorkspaceOf(int64_t lane);
  std::string Fingerprint() const;

  const Backend& backend_;
  void* single_thread_;
  ControlShared shared_;
  Replay real_;
  std::vector<std::unique_ptr<ControlMember>> members_;
  struct Scratch {
    explicit Scratch(const Backend& backend) : arena(backend) {}
    Arena arena;
    Workspace workspace;
  };
  std::vector<std::unique_ptr<Scratch>> scratch_;  // per lane, or per branch
};

}  // namespace alignlab
