// The losses of the control learners and their derivatives: ActorLoss, PolicyGradient, Targets,
// DiscriminatorLoss, LogRatios, Weigh, ConservativeLoss, CriticLoss. What sums over a batch is one
// block: batches have some hundred rows, and a second launch would cost more than it saves.
#include "cuda/block_sum.h"
#include "cuda/launch.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int kThreads = kSumThreads;

__device__ inline int64_t ThreadOfGrid() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }

__device__ inline float* RowOf(const Tensor& t, int64_t r) {
  return static_cast<float*>(t.data) + r * t.stride;
}

// Comparisons that let NaN through.
template <class T>
__device__ inline T Clamp(T x, T low, T high) {
  return x < low ? low : high < x ? high : x;
}
__device__ inline double Magnitude(double x) { return x < 0 ? -x : x; }
__device__ inline double SoftplusOf(double x) {
  return (x < 0 ? 0.0 : x) + Log1p(Exp(-Magnitude(x)));
}
__device__ inline double SigmoidOf(double x) { return 1 / (1 + Exp(-x)); }

// Of one thread.
__device__ inline void NoteFailure(ControlTally* tally, int64_t update, double loss) {
  const bool finite = loss - loss == 0;
  if (!finite && tally->failed == 0) tally->failed = update;
}

// body(r) for this thread's rows; the sum of what it returns, which every thread has.
template <class Body>
__device__ inline double SumOverRows(double* shared, int64_t rows, const Body& body) {
  double sum = 0;
  for (int64_t r = threadIdx.x; r < rows; r += kThreads) sum += body(r);
  return SumOverBlock(shared, sum);
}

__global__ void ActorLossKernel(ActorLossArgs a) {
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
  NoteFailure(a.tally, a.update, loss);
}

__global__ void PolicyGradientKernel(PolicyGradientArgs a) {
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

__global__ void TargetsKernel(TargetArgs a) {
  const int64_t r = ThreadOfGrid();
  if (r >= a.reward.rows) return;
  float value = a.q2[r] < a.q1[r] ? a.q2[r] : a.q1[r];
  if (a.log_prob) value -= float(Exp(double(*a.log_alpha))) * a.log_prob[r];
  float reward = *RowOf(a.reward, r);
  if (a.log_ratio && r >= a.real_rows)
    reward += Clamp(a.log_ratio[r - a.real_rows], -a.clip, a.clip);
  a.target[r] = reward + a.discount * (1.0f - *RowOf(a.terminal, r)) * value;
}

// d f = d z scale (1 - tanh^2), z = scale tanh f
__device__ inline float ThroughTanh(double d_z, float z, float scale) {
  return float(d_z * (scale - double(z) * z / scale));
}

__global__ void DiscriminatorLossKernel(DiscriminatorLossArgs a) {
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
  NoteFailure(a.tally, a.update, loss + next_loss);
}

__global__ void LogRatiosKernel(LogRatiosArgs a) {
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

__global__ void WeighKernel(WeighArgs a) {
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

constexpr double kSmallestShare = 1e-20;

__device__ inline double WarpSumOfDoubles(double x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += ShuffleXor(x, mask);
  return x;
}

// A warp has a state; its part of the difference goes to `terms`.
__global__ void ConservativeTerms(ConservativeLossArgs a, double* terms) {
  const int64_t r = ThreadOfGrid() / kWarp, fan = 3 * a.n;
  const int lane = int(threadIdx.x % kWarp);
  if (r >= a.states) return;
  const float uniform = float(-double(a.actions) * 0.69314718055994531);
  float* d = a.d + r * fan;  // v at first
  float highest = -kInfinity;
  for (int64_t k = lane; k < fan; k += kWarp) {
    const int64_t kind = k / a.n, at = r * a.n + k % a.n;
    const float log_prob = kind == 0 ? uniform : (kind == 1 ? a.log_prob[0] : a.log_prob[1])[at];
    d[k] = float((double(a.q[r * fan + k]) - log_prob) / a.temperature);
    highest = Max(highest, d[k]);
  }
  highest = WarpMax(highest);
  double sum = 0;
  for (int64_t k = lane; k < fan; k += kWarp) sum += Exp(double(d[k]) - highest);
  sum = WarpSumOfDoubles(sum);
  for (int64_t k = lane; k < fan; k += kWarp) {
    const double probability = Exp(double(d[k]) - highest) / sum;
    d[k] = probability >= kSmallestShare ? float(a.weight * a.share * probability) : 0.0f;
  }
  if (lane == 0) terms[r] = a.share * (a.temperature * (double(highest) + Log(sum)) - a.q_data[r]);
}
__global__ void AddConservativeTerms(const double* terms, int64_t states, bool first,
                                     ControlTally* tally) {
  __shared__ double shared[kThreads];
  const double sum = SumOverRows(shared, states, [&](int64_t r) { return terms[r]; });
  if (threadIdx.x == 0) tally->conservative = (first ? 0.0 : tally->conservative) + sum;
}

// Adds weight d difference / d q to d_q; returns the difference. Called by all threads.
__device__ inline double TrustDifference(const CriticLossArgs& a, double* shared) {
  const bool linear = a.penalty == CriticPenalty::kH2oLinear;
  const int64_t real = a.real_rows, sim = a.rows - real;
  const float* q_sim = a.q + real;
  const auto exponent = [&](int64_t i) { return q_sim[i] + a.log_omega[i]; };
  const double mean_real =
      SumOverRows(shared, real, [&](int64_t r) { return a.q[r] / double(real); });
  double difference, log_sum = 0;
  if (linear) {
    difference =
        SumOverRows(shared, sim, [&](int64_t i) { return Exp(a.log_omega[i]) * q_sim[i]; });
  } else {
    double highest = -double(kInfinity);
    for (int64_t i = threadIdx.x; i < sim; i += kThreads)
      highest = highest < exponent(i) ? exponent(i) : highest;
    highest = MaxOverBlock(shared, highest);
    const double sum =
        SumOverRows(shared, sim, [&](int64_t i) { return Exp(exponent(i) - highest); });
    difference = log_sum = highest + Log(sum);
  }
  difference -= mean_real;
  if (!(Magnitude(difference) <= a.limit))
    return Clamp(difference, -double(a.limit), double(a.limit));
  for (int64_t r = threadIdx.x; r < real; r += kThreads) a.d_q[r] -= float(a.weight / double(real));
  for (int64_t i = threadIdx.x; i < sim; i += kThreads) {
    const double share = Exp(linear ? a.log_omega[i] : exponent(i) - log_sum);
    if (share >= kSmallestShare) a.d_q[real + i] += float(a.weight * share);
  }
  return difference;
}

__global__ void CriticLossKernel(CriticLossArgs a) {
  __shared__ double shared[kThreads];
  const int64_t real = a.real_rows, sim = a.rows - real;
  const float even = 1.0f / float(a.rows);
  const float conservative =
      a.penalty == CriticPenalty::kCql ? float(a.weight * (1 / double(a.rows))) : 0.0f;
  double q_real = 0, q_sim = 0;
  const double bellman = SumOverRows(shared, a.rows, [&](int64_t r) {
    const float c = a.coefficient ? a.coefficient[r] : even;
    const double error = double(a.q[r]) - a.target[r];
    a.d_q[r] = float(2.0f * c * error) - conservative;
    q_real += r < real ? a.q[r] : 0.0f;
    q_sim += r < real ? 0.0f : a.q[r];
    return c * error * error;
  });
  q_real = SumOverBlock(shared, q_real);
  q_sim = SumOverBlock(shared, q_sim);  // and d_q is whole
  double difference = 0;
  if (a.penalty == CriticPenalty::kCql)
    difference = a.tally->conservative;
  else if (a.penalty != CriticPenalty::kNone)
    difference = TrustDifference(a, shared);
  if (threadIdx.x > 0) return;
  const bool first = a.critic == 0;
  const double loss = bellman + a.weight * difference;
  ControlTally& tally = *a.tally;
  const double both = first ? loss : tally.critic_loss + loss;
  tally.critic_loss = both;
  tally.sums[kBellmanLoss] += bellman;
  tally.sums[kPenalty] += difference / 2;
  if (!first) tally.sums[kCriticLoss] += both;
  NoteFailure(a.tally, a.update, loss);
  if (!first) return;
  if (real > 0) tally.sums[kQReal] += q_real / double(real);
  if (sim > 0) tally.sums[kQSim] += q_sim / double(sim);
}

// kernel(args) by one block.
template <class Args>
void OneBlock(void* device, void (*kernel)(Args), const Args& args) {
  const Operation op(device);
  Launch(op.device(), kernel, {1}, kThreads, 0, args);
}

}  // namespace

void ActorLoss(void* device, const ActorLossArgs& args) { OneBlock(device, ActorLossKernel, args); }

void PolicyGradient(void* device, const PolicyGradientArgs& args) {
  OneBlock(device, PolicyGradientKernel, args);
}

void Targets(void* device, const TargetArgs& args) {
  const Operation op(device);
  Launch(op.device(), TargetsKernel, {CeilDiv(args.reward.rows, kThreads)}, kThreads, 0, args);
}

void DiscriminatorLoss(void* device, const DiscriminatorLossArgs& args) {
  OneBlock(device, DiscriminatorLossKernel, args);
}

void LogRatios(void* device, const LogRatiosArgs& args) {
  const Operation op(device);
  Launch(op.device(), LogRatiosKernel, {CeilDiv(args.n, kThreads)}, kThreads, 0, args);
}

void Weigh(void* device, const WeighArgs& args) { OneBlock(device, WeighKernel, args); }

void ConservativeLoss(void* device, const ConservativeLossArgs& args) {
  const Operation op(device);
  auto* terms = op->Scratch<double>(args.states);
  Launch(op.device(), ConservativeTerms, {CeilDiv(args.states * kWarp, kThreads)}, kThreads, 0,
         args, terms);
  Launch(op.device(), AddConservativeTerms, {1}, kThreads, 0, terms, args.states, args.first,
         args.tally);
}

void CriticLoss(void* device, const CriticLossArgs& args) {
  OneBlock(device, CriticLossKernel, args);
}

}  // namespace alignlab::cuda
