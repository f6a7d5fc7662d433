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

// Sums over updates; which of them an algorithm fills depends on it.
enum ControlMetric : int {
  kCriticLoss,   // both critics, all terms
  kBellmanLoss,  // both critics
  kPenalty,      // mean of the critics, before its weight; H2O's or CQL's difference
  kPolicyLoss,
  kAlpha,
  kEntropy,  // -mean log pi
  kQReal,
  kQSim,  // of the first critic, on each kind of row
  kRatio,
  kRootRatio,
  kRatioFloor,  // w, sqrt w, fraction with ln r in its lowest twentieth
  kGap,
  kGapFloor,  // u, fraction of u clamped from below
  kDiscLoss,
  kDiscNextLoss,  // L_sa, L_sas
  kControlMetrics
};
using ControlMetrics = std::array<double, kControlMetrics>;

// Scratch of one update. Lanes have one each; members that take turns on a lane share it.
struct Workspace {
  void Plan(Carver& carver, const ControlSettings& settings, const ControlLayout& layout);

  float* gradients;  // as the parameters; zero between updates
  Tensor batch;      // (batch, width): real rows first
  Tensor disc_rows, disc_inputs;
  int64_t chunk;                   // rows that forward-only passes take at a time
  MlpActivations policy, sets[2];  // sets: critics or discriminators
  Tensor next_outputs;             // of the policy on next states
  float* d[2];
  Tensor d_out[2], d_policy;
  Tensor inputs, d_inputs;  // of critics at the policy's actions
  float *noise, *std_dev, *log_prob, *next_log_prob, *target;
  Tensor actions;
  float *q[2], *coefficient;
  float *log_ratio, *gap;  // of simulated rows
  double* log_omega;
  Tensor ratio_inputs;  // (chunk, 2 state + action)
  Tensor cql_actions, cql_inputs;
  float *cql_log_prob, *cql_noise, *cql_draw_log_prob;
};

// to = [states of x | actions], the critics' input; `fan` actions follow one another for each row
// of x.
void JoinActions(Tensor x, int64_t states, Tensor actions, int64_t fan, Tensor to);

// What the members share.
struct ControlShared {
  ControlSettings settings;
  ControlLayout layout;
  TransitionShape shape;
  const Replay* real = nullptr;
  TransitionStatistics statistics;
};

class ControlMember {
 public:
  ControlMember(const Compute& compute, const ControlShared& shared, uint64_t seed);

  // One step of every network. Throws NON_FINITE before any weight of the agent has changed.
  void Update(const Compute& compute, Workspace& w, ControlMetrics& sums);

  // actions: (rows, action size), drawn from the policy or its tanh(mean).
  void Act(const Compute& compute, Workspace& w, const float* states, int64_t rows, bool sample,
           float* actions);
  // For each of `rows` transitions (replay rows) q1, q2, and with discriminators ln r and u.
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

  // For tests: the gradients of an update, copied before each optimiser's step.
  float* gradient_copy = nullptr;

 private:
  struct Call;  // what the parts of one update hand on: compute, workspace, metrics

  void TrainDiscriminators(Call& call);
  void DrawBatch(Call& call);
  void LogRatios(Call& call, const float* rows, int64_t count, int64_t next_samples,
                 ControlStream stream, uint64_t step, float* log_ratio, float* gap);
  void WeighSimulated(Call& call);
  void ActorGradient(Call& call);
  void PolicyBackward(Call& call);
  void AlphaGradient(Call& call);
  void Targets(Call& call);
  void CriticGradients(Call& call);
  double PenaltyGradient(Call& call, const float* q, float* d_q);
  double ConservativeGradient(Call& call, int critic, const float* q, float* d_q);
  void ConservativeActions(Call& call);
  void RequireFinite(Call& call, double loss) const;
  void Step(Call& call, int64_t begin, int64_t end, float rate, float* target);
  void Normals(Call& call, ControlStream stream, float* out, int64_t n) const;

  const ControlShared& shared_;
  uint64_t seed_;
  Buffer weights_, target_, moment1_, moment2_;
  Replay sim_;
};

struct ControlMember::Call {
  const Compute& compute;
  Workspace& w;
  ControlMetrics& sums;
  double alpha = 0, policy_loss = 0, critic_loss = 0;
};

}  // namespace alignlab
