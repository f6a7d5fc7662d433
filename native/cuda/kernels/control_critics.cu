// Losses of the control learners' critics and their derivatives: ConservativeLoss, CriticLoss.
#include "cuda/kernels/control_losses.h"

namespace alignlab::cuda {

namespace {

constexpr double kSmallestShare = 1e-20;

__device__ inline double WarpSumOfDoubles(double x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += ShuffleXor(x, mask);
  return x;
}

struct ConservativeTerms {
  ConservativeLossArgs of;
  double* terms;  // of each state
};

// A warp has a state; its part of the difference goes to the terms.
struct ConservativeTermsBody : BodyOf<ConservativeTerms, kThreads> {
  __device__ static void Run(const ConservativeTerms& args) {
    const ConservativeLossArgs& a = args.of;
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
    if (lane == 0)
      args.terms[r] = a.share * (a.temperature * (double(highest) + Log(sum)) - a.q_data[r]);
  }
};
struct AddConservativeTermsBody : BodyOf<ConservativeTerms, kThreads> {
  __device__ static void Run(const ConservativeTerms& a) {
    __shared__ double shared[kThreads];
    const double sum = SumOverRows(shared, a.of.states, [&](int64_t r) { return a.terms[r]; });
    double& total = a.of.tally->conservative;
    if (threadIdx.x == 0) total = (a.of.first ? 0.0 : total) + sum;
  }
};

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

struct CriticLossBody : BodyOf<CriticLossArgs, kThreads> {
  __device__ static void Run(const Args& a) {
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
    AddCriticLoss(a, bellman, difference);
    if (a.critic != 0) return;
    if (real > 0) a.tally->sums[kQReal] += q_real / double(real);
    if (sim > 0) a.tally->sums[kQSim] += q_sim / double(sim);
  }
};

}  // namespace

void ConservativeLoss(void* device, const ConservativeLossArgs& args) {
  const Operation op(device);
  auto* terms = op->Scratch<double>(args.states);
  const ConservativeTerms of{args, terms};
  LaunchBody<ConservativeTermsBody>(op.device(), {CeilDiv(args.states * kWarp, kThreads)}, 0, of);
  LaunchBody<AddConservativeTermsBody>(op.device(), {1}, 0, of);
}

void CriticLoss(void* device, const CriticLossArgs& args) {
  OneBlock<CriticLossBody>(device, args);
}

}  // namespace alignlab::cuda
