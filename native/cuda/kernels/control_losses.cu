// Losses of the control learners' policy and discriminators and their derivatives: ActorLoss,
// PolicyGradient, Targets, DiscriminatorLoss, LogRatios, Weigh.
#include "cuda/kernels/control_losses.h"

namespace alignlab::cuda {

namespace {

struct ActorLossBody : BodyOf<ActorLossArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    __shared__ double shared[kThreads];
    const double share = 1 / double(a.rows), alpha = Exp(double(*a.log_alpha));
    double values = 0, entropy_gap = 0;
    const double log_probs = SumOverRows(shared, a.rows, [&](int64_t r) {
      const bool second = a.q2[r] < a.q1[r];
      a.d_q1[r] = second ? 0.0f : float(-share);
      a.d_q2[r] = second ? float(-share) : 0.0f;
      values += second ? a.q2[r] : a.q1[r];
      entropy_gap += double(a.log_prob[r]) + a.target_entropy;
      return double(a.log_prob[r]);
    });
    values = SumOverBlock(shared, values);
    entropy_gap = SumOverBlock(shared, entropy_gap);
    if (threadIdx.x > 0) return;
    const double loss = share * (alpha * log_probs - values);
    if (a.d_log_alpha) *a.d_log_alpha = float(-entropy_gap * share);
    a.tally->sums[kPolicyLoss] += loss;
    a.tally->sums[kEntropy] -= share * log_probs;
    a.tally->sums[kAlpha] += alpha;
    FailUnlessFinite(a.tally, a.update, loss);
  }
};

struct PolicyGradientBody : BodyOf<PolicyGradientArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    __shared__ double shared[kThreads];
    const int64_t rows = a.action.rows, actions = a.action.cols;
    const float scale = a.scalars[0], shift = a.scalars[1];
    const float share = float(Exp(double(*a.log_alpha)) / double(rows));
    double d_scale = 0;
    const double d_shift = SumOverRows(shared, rows * actions, [&](int64_t at) {
      const int64_t r = at / actions, j = at % actions;
      const float x = RowOf(a.action, r)[j], spread = RowOf(a.outputs, r)[actions + j];
      const float log_std = scale * spread + shift;
      const float d = RowOf(a.d_action[0], r)[j] + RowOf(a.d_action[1], r)[j];
      const float d_u = d * (1.0f - x * x) + 2.0f * x * share;
      const bool inside = log_std >= -20.0f && log_std <= 2.0f;
      const float d_log_std = inside ? d_u * a.std_dev[at] * a.noise[at] - share : 0.0f;
      RowOf(a.d_outputs, r)[j] = d_u;
      RowOf(a.d_outputs, r)[actions + j] = d_log_std * scale;
      d_scale += double(d_log_std) * spread;
      return double(d_log_std);
    });
    d_scale = SumOverBlock(shared, d_scale);
    if (threadIdx.x > 0) return;
    a.d_scalars[0] += float(d_scale);
    a.d_scalars[1] += float(d_shift);
  }
};

struct TargetsBody : BodyOf<TargetArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    const int64_t r = ThreadOfGrid();
    if (r >= a.reward.rows) return;
    float value = a.q2[r] < a.q1[r] ? a.q2[r] : a.q1[r];
    if (a.log_prob) value -= float(Exp(double(*a.log_alpha))) * a.log_prob[r];
    float reward = *RowOf(a.reward, r);
    if (a.log_ratio && r >= a.real_rows)
      reward += Clamp(a.log_ratio[r - a.real_rows], -a.clip, a.clip);
    a.target[r] = reward + a.discount * (1.0f - *RowOf(a.terminal, r)) * value;
  }
};

// d f = d z scale (1 - tanh^2), z = scale tanh f
__device__ inline float ThroughTanh(double d_z, float z, float scale) {
  return float(d_z * (scale - double(z) * z / scale));
}

struct DiscriminatorLossBody : BodyOf<DiscriminatorLossArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    __shared__ double shared[kThreads];
    const double share = 1 / double(a.each);
    double next_loss = 0;
    const double loss = SumOverRows(shared, 2 * a.each, [&](int64_t i) {
      float *z1 = a.f[0] + 2 * i, *z2 = a.f[1] + 2 * i;
      for (int k = 0; k < 2; ++k) {
        z1[k] = a.scale * Tanh(z1[k]);
        z2[k] = a.scale * Tanh(z2[k]);
      }
      const bool sim = i >= a.each;
      const double odds = double(z1[1]) - z1[0], next_odds = odds + z2[1] - z2[0];
      next_loss += share * SoftplusOf(sim ? -next_odds : next_odds);
      const double d2 = share * (SigmoidOf(next_odds) - sim);
      const double d1 = d2 + share * (SigmoidOf(odds) - sim);
      a.d_f[0][2 * i] = ThroughTanh(-d1, z1[0], a.scale);
      a.d_f[0][2 * i + 1] = ThroughTanh(d1, z1[1], a.scale);
      a.d_f[1][2 * i] = ThroughTanh(-d2, z2[0], a.scale);
      a.d_f[1][2 * i + 1] = ThroughTanh(d2, z2[1], a.scale);
      return share * SoftplusOf(sim ? -odds : odds);
    });
    next_loss = SumOverBlock(shared, next_loss);
    if (threadIdx.x > 0) return;
    a.tally->sums[kDiscLoss] += loss;
    a.tally->sums[kDiscNextLoss] += next_loss;
    FailUnlessFinite(a.tally, a.update, loss + next_loss);
  }
};

struct LogRatiosBody : BodyOf<LogRatiosArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    const int64_t i = ThreadOfGrid(), each = a.samples + 1;
    if (i >= a.n) return;
    float* z = a.f + 2 * i * each;
    for (int64_t k = 0; k < 2 * each; ++k) z[k] = a.scale * Tanh(z[k]);
    a.log_ratio[i] = z[0] - z[1];
    if (a.samples == 0) return;
    double sum = 0;
    for (int64_t k = 1; k < each; ++k) sum += double(z[2 * k + 1]) - z[2 * k];
    a.gap[i] = Clamp(float(sum / double(a.samples)), float(kGapFloorValue), a.gap_high);
  }
};

struct WeighBody : BodyOf<WeighArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    __shared__ double shared[kThreads];
    const double floor = -0.95 * a.limit, share = 1 / double(a.sim);
    double root = 0, low = 0, total = 0, floored = 0;
    const double ratios = SumOverRows(shared, a.sim, [&](int64_t i) {
      const float ratio = Clamp(Exp(a.log_ratio[i]), a.low, a.high);
      root += share * Sqrt(ratio);
      low += a.log_ratio[i] < floor ? share : 0.0;
      total += a.gap ? double(a.gap[i]) : 1.0;
      floored += a.gap && a.gap[i] <= kGapFloorValue ? share : 0.0;
      if (a.coefficient) a.coefficient[a.real + i] = (a.importance ? ratio : 1.0f) / float(a.sim);
      return share * ratio;
    });
    root = SumOverBlock(shared, root);
    low = SumOverBlock(shared, low);
    total = SumOverBlock(shared, total);
    floored = SumOverBlock(shared, floored);
    if (a.coefficient) {
      for (int64_t r = threadIdx.x; r < a.real; r += kThreads)
        a.coefficient[r] = 1.0f / float(a.real);
      const double log_total = Log(total);
      for (int64_t i = threadIdx.x; i < a.sim; i += kThreads)
        a.log_omega[i] = (a.gap ? Log(double(a.gap[i])) : 0.0) - log_total;
    }
    if (threadIdx.x > 0) return;
    double* sums = a.tally->sums;
    sums[kRatio] += ratios;
    sums[kRootRatio] += root;
    sums[kRatioFloor] += low;
    if (!a.coefficient || !a.gap) return;
    sums[kGap] += share * total;
    sums[kGapFloor] += floored;
  }
};

}  // namespace

void ActorLoss(void* device, const ActorLossArgs& args) { OneBlock<ActorLossBody>(device, args); }

void PolicyGradient(void* device, const PolicyGradientArgs& args) {
  OneBlock<PolicyGradientBody>(device, args);
}

void Targets(void* device, const TargetArgs& args) {
  const Operation op(device);
  LaunchBody<TargetsBody>(op.device(), {CeilDiv(args.reward.rows, kThreads)}, 0, args);
}

void DiscriminatorLoss(void* device, const DiscriminatorLossArgs& args) {
  OneBlock<DiscriminatorLossBody>(device, args);
}

void LogRatios(void* device, const LogRatiosArgs& args) {
  const Operation op(device);
  LaunchBody<LogRatiosBody>(op.device(), {CeilDiv(args.n, kThreads)}, 0, args);
}

void Weigh(void* device, const WeighArgs& args) { OneBlock<WeighBody>(device, args); }

}  // namespace alignlab::cuda
