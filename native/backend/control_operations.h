// The operations of the control learners (native/control/), a table beside the model's (backend.h):
// what stands between matrix products of small networks. Each is defined by plain loops in
// native/reference/control.h and control_losses.h. What a value of one row is depends on that row
// alone; sums run in an order that depends on the backend and on the number of rows alone.
//
// Every pointer, those in tensors too, is memory of the device. Letters: S numbers of a state, A of
// an action. Transitions are rows [state | action | next state | reward | terminal].
#pragma once

#include "backend/philox.h"
#include "backend/tensor.h"

namespace alignlab {

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

// u is at least this. The code released with H2O clamps it at 1e-45, a denormal; this floor is as
// far below any other value.
constexpr float kGapFloorValue = 1e-30f;

// What losses leave on the device, so that nobody waits for them: the metrics, and whether an
// update failed.
struct ControlTally {
  double sums[kControlMetrics];
  double critic_loss;   // of the first critic, until the second one's is added
  double conservative;  // CQL's difference of the critic at hand, over the states so far
  int64_t failed;       // the number of the first update with a loss that is not finite; 0: none
};

ALIGNLAB_HOST_DEVICE static inline void FailUnlessFinite(ControlTally* tally, int64_t update,
                                                         double loss) {
  const bool finite = loss - loss == 0;
  if (!finite && tally->failed == 0) tally->failed = update;
}

// Numbers of the stream (key, purpose) of one step. Number i comes from block 16 (i / 64) + i % 16
// of the stream, counter {block, step, step >> 32, purpose}, by quarter q = (i % 64) / 16:
//   uniform: (word[q] / 2^8 rounded down + 1/2) / 2^24, in (0, 1]
//   normal:  sqrt(-2 ln u) (cos or sin)(2 pi v), u and v the uniforms of words 0 and 1 (q = 0, 1)
//            or 2 and 3 (q = 2, 3); cos for even q      (Box & Muller 1958)
struct RandomArgs {
  uint64_t key;
  uint64_t step;
  uint32_t purpose;
  float* out;
  int64_t n;
};

// Draw i of n equally likely numbers (up to n / 2^64): two words of block i / 2 of a stream.
ALIGNLAB_HOST_DEVICE static inline int64_t DrawIndex(uint64_t key, uint32_t purpose, uint64_t step,
                                                     int64_t i, int64_t n) {
  const PhiloxBlock block =
      Philox4x32(key, {{uint32_t(i / 2), uint32_t(step), uint32_t(step >> 32), purpose}});
  const bool odd = i % 2 != 0;  // chosen, not indexed: a GPU would keep the words in memory
  const uint64_t bits =
      uint64_t(odd ? block.word[2] : block.word[0]) << 32 | (odd ? block.word[3] : block.word[1]);
  return int64_t((unsigned __int128)bits * uint64_t(n) >> 64);
}

// A ring of rows, `size` of them; the one of age 0 is row `oldest`.
struct RowRing {
  const float* rows;
  int64_t width, size, oldest, capacity;
};
// to[i] = the first columns of a row drawn from `real` for i < real_rows, else from `sim`: the one
// of age DrawIndex(key, purpose, step, i, size). With `scale`: (x - shift) scale + noise xi.
struct DrawRowsArgs {
  uint64_t key;
  uint64_t step;
  uint32_t purpose;
  RowRing real, sim;
  int64_t real_rows;
  Tensor to;           // f32 (rows, cols)
  const float* shift;  // (cols)
  const float* scale;  // (cols) or null
  const float* xi;     // (rows, cols) or null: no noise
  float noise;
};

// Adam (Kingma & Ba 2015) without weight decay, and the slow copy that follows it:
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= lr (m / bias1) / (sqrt(v / bias2) + eps)
//   target += rate (w - target)                                   (when target is given)
// Moments smaller than 1e-30 become 0: units that no longer fire would otherwise decay into
// denormals, which are slow, and at 1e-30 they move nothing. The gradient is zero afterwards. When
// the tally says that an update failed, nothing else happens.
struct AdamArgs {
  float *w, *g, *m, *v;
  float* target;              // null: none
  const ControlTally* tally;  // null: step in any case
  int64_t n;
  float lr, beta1, beta2, eps, bias1, bias2, rate;
};

// The squashed Gaussian policy (Haarnoja et al. 2018, appendix C) from the network's outputs
// (mean | s), A columns each:
//   log_std = clamp(scale s + shift, -20, 2);  u = mean + e^log_std noise;  action = tanh u
//   log_prob = sum_j -noise^2 / 2 - log_std - ln(2 pi) / 2 - 2 (ln 2 - u - softplus(-2 u))
// `fan` actions are drawn from each row of outputs: row r of noise, action and log_prob belongs to
// row r / fan of the outputs. `action` may be where `noise` is.
struct SquashArgs {
  Tensor outputs;        // f32 (rows, 2A)
  const float* noise;    // (rows * fan, A); null: action = tanh(mean), and log_prob is not written
  const float* scalars;  // scale, shift
  int64_t fan;
  Tensor action;    // f32 (rows * fan, A)
  float* log_prob;  // (rows * fan) or null
  float* std_dev;   // (rows * fan, A): e^log_std, or null
  Tensor states;    // f32 (rows, S), copied into the S columns before each action's; or no data
};

// L = mean( alpha log_prob - min(q1, q2) ), and its derivatives by q1 and q2: -1 / rows by the
// smaller one, by q1 where they are equal. With d_log_alpha, that of -ln alpha (log_prob + target
// entropy)'s mean is written there.
struct ActorLossArgs {
  const float *q1, *q2, *log_prob;  // (rows)
  const float* log_alpha;
  int64_t rows;
  float target_entropy;
  float *d_q1, *d_q2;  // (rows)
  float* d_log_alpha;  // null: alpha is fixed
  ControlTally* tally;
  int64_t update;  // its number, from 1 on, for tally->failed; here and below
};

// From dL/daction to dL/doutputs, outputs and action being those of a squash with fan 1:
//   d_u = d_action (1 - a^2) + 2 a alpha / rows,   d_mean = d_u
//   d_log_std = d_u std_dev noise - alpha / rows inside the clamp, else 0,   d_s = d_log_std scale
//   d_scale += sum d_log_std s,   d_shift += sum d_log_std
struct PolicyGradientArgs {
  Tensor outputs;                // f32 (rows, 2A)
  const float *noise, *std_dev;  // (rows, A)
  Tensor action;                 // f32 (rows, A)
  Tensor d_action[2];            // f32 (rows, A), to be added up
  const float *scalars, *log_alpha;
  Tensor d_outputs;  // f32 (rows, 2A)
  float* d_scalars;  // 2, added to
};

// target = r' + discount (1 - terminal) (min(q1, q2) - alpha log_prob), r' = reward, and from row
// real_rows on reward + clamp(log_ratio, +-clip) when log_ratio is given.
struct TargetArgs {
  const float *q1, *q2;
  const float* log_prob;  // null: no entropy
  const float* log_alpha;
  Tensor reward, terminal;  // f32 (rows, 1)
  const float* log_ratio;   // (rows - real_rows) or null
  int64_t real_rows;
  float clip, discount;
  float* target;  // (rows)
};

// Logits z = scale tanh(f) of two networks, real and simulated side by side; `each` real rows are
// followed by as many simulated ones. With d1 = z1[sim] - z1[real] and d2 likewise,
//   L_sa = mean_real softplus(d1) + mean_sim softplus(-d1),   L_sas the same of d1 + d2
// and the derivatives of L_sa + L_sas by f. In f stands z afterwards.
struct DiscriminatorLossArgs {
  float* f[2];  // (2 each, 2)
  int64_t each;
  float scale;
  float* d_f[2];
  ControlTally* tally;
  int64_t update;
};

// The inputs of the discriminator of (s, a, s'): samples + 1 rows for each transition, which are
// (x - shift) scale of x = [s | a | s' + xi spread], the first one without xi.
struct RatioInputsArgs {
  Tensor rows;  // f32 (n, at least 2S + A): transitions
  int64_t states, samples;
  const float* xi;  // (n * samples, S)
  const float *spread, *shift, *scale;
  Tensor to;  // f32 (n (samples + 1), 2S + A)
};
// From its f at those rows, z = scale tanh(f):
//   log_ratio = z[real] - z[sim] of the first row;  gap = clamp(-mean of the others', floor, high)
// In f stands z afterwards.
struct LogRatiosArgs {
  float* f;  // (n (samples + 1), 2)
  int64_t n, samples;
  float scale, gap_high;
  float* log_ratio;  // (n)
  float* gap;        // (n); not written when samples is 0
};

// w = clamp(e^log_ratio, low, high), and what follows for H2O, whose coefficient is given:
//   coefficient = 1 / real for the first `real` rows, then (importance ? w : 1) / sim
//   log_omega = ln u - ln sum u,  u = gap, or 1 without
// Metrics: w, its root, the fraction of log ratios below -0.95 limit, u, the fraction at its floor.
struct WeighArgs {
  const float* log_ratio;  // (sim)
  const float* gap;        // (sim) or null
  int64_t real, sim;
  float limit;  // of the log ratio
  float low, high;
  bool importance;
  float* coefficient;  // (real + sim) or null: metrics only
  double* log_omega;   // (sim), when coefficient is given
  ControlTally* tally;
};

// CQL's actions: of each state n uniform ones (kind 0), n of the policy at the next state (1) and
// at the state itself (2). Row (state * 3 + kind) n + k of `to` is [state | action k of the kind].
struct ConservativeInputsArgs {
  Tensor states;  // f32 (rows, S)
  int64_t n;
  Tensor drawn[3];  // f32 (rows * n, A); kind 0: in (0, 1], and the action is 2x - 1
  Tensor to;        // f32 (rows * 3n, S + A)
};
// With v = (q - log_prob) / T over the 3n actions of a state (kind 0: log_prob = -A ln 2):
//   conservative = sum over states of ( T ln sum e^v - q_data ) share,   d = weight share softmax v
// added to the tally's, which begins anew with `first`. Derivatives below 1e-20 weight share are 0:
// they move no weight and would only breed denormals on the way back.
struct ConservativeLossArgs {
  const float* q;            // (states * 3n)
  const float* log_prob[2];  // (states * n), kinds 1 and 2
  const float* q_data;       // (states)
  int64_t states, n, actions;
  double share;  // 1 / states of the whole batch
  float temperature, weight;
  bool first;
  float* d;  // (states * 3n)
  ControlTally* tally;
};

// Of one critic: L = sum c (q - target)^2 + weight difference, and dL/dq, where difference is
//   kNone  0
//   kCql   the tally's; its part of dL/dq here is -weight / rows
//   kH2o   clamp( ln sum_sim omega e^q - mean_real q, +-limit ); kH2oLinear: sum_sim omega q in
//          place of the logarithm. The clamp ends the gradient.
// Shares omega e^q of the sum below 1e-20 count as 0 in dL/dq. Metrics: L, its squared errors,
// difference / 2, and of critic 0 mean q on each kind of row.
enum class CriticPenalty : int32_t { kNone, kCql, kH2o, kH2oLinear };
struct CriticLossArgs {
  int critic;                // 0, then 1
  const float *q, *target;   // (rows)
  const float* coefficient;  // c: (rows), or null: 1 / rows
  int64_t rows, real_rows;
  CriticPenalty penalty;
  float weight, limit;
  const double* log_omega;  // (rows - real_rows), for H2O
  float* d_q;               // (rows)
  ControlTally* tally;
  int64_t update;
};

// What every backend adds to the tally: of both critics the losses, without the means of q.
ALIGNLAB_HOST_DEVICE static inline void AddCriticLoss(const CriticLossArgs& a, double bellman,
                                                      double difference) {
  ControlTally& tally = *a.tally;
  const bool first = a.critic == 0;
  const double loss = bellman + (a.penalty == CriticPenalty::kNone ? 0 : a.weight * difference);
  const double both = first ? loss : tally.critic_loss + loss;
  tally.critic_loss = both;
  tally.sums[kBellmanLoss] += bellman;
  tally.sums[kPenalty] += difference / 2;
  if (!first) tally.sums[kCriticLoss] += both;
  FailUnlessFinite(a.tally, a.update, loss);
}

struct ControlOperations {
  void (*uniforms)(void* device, const RandomArgs&);
  void (*normals)(void* device, const RandomArgs&);
  void (*draw_rows)(void* device, const DrawRowsArgs&);
  void (*adam)(void* device, const AdamArgs&);
  void (*relu)(void* device, Tensor y);                     // y = max(y, 0)
  void (*relu_backward)(void* device, Tensor y, Tensor d);  // d = y > 0 ? d : 0
  void (*squash)(void* device, const SquashArgs&);
  void (*actor_loss)(void* device, const ActorLossArgs&);
  void (*policy_gradient)(void* device, const PolicyGradientArgs&);
  void (*targets)(void* device, const TargetArgs&);
  void (*discriminator_loss)(void* device, const DiscriminatorLossArgs&);
  void (*ratio_inputs)(void* device, const RatioInputsArgs&);
  void (*log_ratios)(void* device, const LogRatiosArgs&);
  void (*weigh)(void* device, const WeighArgs&);
  void (*conservative_inputs)(void* device, const ConservativeInputsArgs&);
  void (*conservative_loss)(void* device, const ConservativeLossArgs&);
  void (*critic_loss)(void* device, const CriticLossArgs&);
};

}  // namespace alignlab
