// One member of an ensemble: the networks of one seed and their update. The losses are those of
// H2O (Niu et al. 2022, arXiv 2206.13464) and of the baselines around it; formulas stand where they
// are computed: discriminators.cc, agent.cc, critics.cc, conservative.cc.
#pragma once

#include <array>

#include "control/mlp.h"
#include "control/random.h"
#include "control/replay.h"
#include "control/settings.h"

namespace alignlab {

// Where networks lie in a member's flat parameters: regions that one optimiser call steps.
struct ControlLayout {
  ControlLayout() = default;
  ControlLayout(const ControlSettings& settings, int64_t panel);

  MlpLayout policy, critic[2], disc_sa, disc_sas;
  int64_t policy_scalars = 0;  // scale and shift of log_std (m and b), trained with the policy
  int64_t policy_end = 0, critics_begin = 0, critics_end = 0, alpha = 0;
  int64_t discs_begin = 0, discs_end = 0, total = 0;
};

// What a call of updates tells of a member: means of the tally's sums.
using ControlMetrics = std::array<double, kControlMetrics>;

// Scratch of one update. Lanes have one each; members that take turns on a lane share it.
struct Workspace {
  void Plan(Carver& carver, const ControlSettings& settings, const ControlLayout& layout,
            bool host);

  float* gradients;  // as the parameters; zero between updates
  Tensor batch;      // (batch, width): real rows first
  Tensor disc_inputs;
  int64_t chunk;                   // rows that Act and Inspect take at a time
  int64_t pass;                    // rows that the long passes of an update take at a time
  MlpActivations policy, sets[2];  // sets: critics or discriminators
  Tensor next_outputs;             // of the policy on next states
  float* d[2];
  Tensor d_out[2], d_policy;
  Tensor inputs, d_inputs[2];  // of critics at the policy's actions
  float *noise, *std_dev, *log_prob, *next_log_prob, *target;
  float* coefficient;
  float *log_ratio, *gap;  // of simulated rows
  double* log_omega;
  Tensor ratio_inputs;  // (pass, 2 state + action)
  Tensor cql_drawn[3], cql_inputs;
  float* cql_log_prob[2];
  Tensor states, actions;  // (chunk, ...) of Act
};

// What the members share.
struct ControlShared {
  ControlSettings settings;
  ControlLayout layout;
  TransitionShape shape;
  const Replay* real = nullptr;
  Buffer statistics;  // TransitionStatistics: spread, shift and scale, one after the other

  const float* spread() const { return statistics.f32(); }
  const float* shift() const { return spread() + shape.state; }
  const float* scale() const { return shift() + shape.inputs(); }
};

class ControlMember {
 public:
  ControlMember(const Compute& compute, const ControlShared& shared, uint64_t seed);

  // One step of every network. From a loss on that is not finite, no weight changes any more.
  void Update(const Compute& compute, Workspace& w);
  // The tally of the updates since the last StartTally. TakeFailed goes back to where the first
  // update with a loss that is not finite began; true when there was one.
  void StartTally(const Compute& compute);
  bool TakeFailed(const Compute& compute);
  ControlMetrics ReadSums(const Compute& compute) const;

  // actions: (rows, action size), drawn from the policy or its tanh(mean). states, actions and what
  // Inspect writes are the host's.
  void Act(const Compute& compute, Workspace& w, const float* states, int64_t rows, bool sample,
           float* actions);
  // For each of `rows` transitions, rows of the device, q1, q2, and with discriminators ln r and u.
  void Inspect(const Compute& compute, Workspace& w, const float* transitions, int64_t rows,
               float* q1, float* q2, float* log_ratio, float* gap);

  uint64_t seed() const { return seed_; }
  Replay& sim() { return sim_; }
  const Replay& sim() const { return sim_; }
  float* parameters() const { return weights_.f32(); }
  float* target() const { return target_.f32(); }  // of the critics' region
  float* moment1() const { return moment1_.f32(); }
  float* moment2() const { return moment2_.f32(); }
  size_t bytes() const;
  int64_t step = 0, acts = 0;

  // For tests: where the gradients of an update are copied to before each optimiser's step, memory
  // of the device.
  float* gradient_copy = nullptr;

 private:
  struct Call {  // what the parts of one update hand on
    const Compute& compute;
    Workspace& w;
    const ControlOperations& control() const { return compute.control(); }
    void* device() const { return compute.device; }
  };

  void TrainDiscriminators(Call& call);
  void DrawBatch(Call& call);
  void LogRatios(Call& call, const float* rows, int64_t count, int64_t next_samples,
                 ControlStream stream, uint64_t step);
  void WeighSimulated(Call& call);
  void ActorGradient(Call& call);
  void PolicyBackward(Call& call);
  void Targets(Call& call);
  void CriticGradients(Call& call);
  void ConservativeGradient(Call& call, int critic, const float* q);
  void ConservativeActions(Call& call);
  void Step(Call& call, int64_t begin, int64_t end, float rate, float* target);
  void Normals(Call& call, ControlStream stream, float* out, int64_t n) const;
  ControlTally* tally() const { return static_cast<ControlTally*>(tally_.data()); }
  float* scalars() const { return parameters() + shared_.layout.policy_scalars; }
  float* log_alpha() const { return parameters() + shared_.layout.alpha; }
  int64_t update() const { return step + 1; }  // its number

  const ControlShared& shared_;
  uint64_t seed_;
  Buffer weights_, target_, moment1_, moment2_, tally_;
  Replay sim_;
};

}  // namespace alignlab
