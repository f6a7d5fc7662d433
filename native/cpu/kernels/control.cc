// The control operations, compiled once per instruction set like kernels.cc; the table is the only
// symbol that this object shows to the linker.
#include "cpu/kernels/control_losses.h"

namespace alignlab {
namespace {

constexpr int64_t kGroup = 4 * kLanes;  // numbers from sixteen blocks

// The 64 uniforms of one group, as four vectors (RandomArgs).
inline void UniformGroup(const RandomArgs& a, int64_t group, Vec (&u)[4]) {
  PhiloxLanes c;
  for (int i = 0; i < kLanes; ++i) {
    c.word[0][i] = uint32_t(group * kLanes + i);
    c.word[1][i] = uint32_t(a.step);
    c.word[2][i] = uint32_t(a.step >> 32);
    c.word[3][i] = a.purpose;
  }
  Philox16(a.key, c);
  for (int q = 0; q < 4; ++q) {
    float x[kLanes];
    for (int i = 0; i < kLanes; ++i) x[i] = float(int32_t(c.word[q][i] >> 8));
    u[q] = Mul(Add(Load(x), Set1(0.5f)), Set1(0x1.0p-24f));
  }
}

inline void StoreGroup(const RandomArgs& a, int64_t group, const Vec (&x)[4]) {
  const int64_t first = group * kGroup;
  for (int q = 0; q < 4 && first + q * kLanes < a.n; ++q)
    StoreN(a.out + first + q * kLanes, x[q], Smaller(kLanes, a.n - first - q * kLanes));
}

template <class F>
inline void ForGroups(void* device, int64_t n, const F& body) {
  constexpr int64_t kGroups = 64;  // a task: about 4 us
  const int64_t groups = (n + kGroup - 1) / kGroup;
  ParallelFor(device, (groups + kGroups - 1) / kGroups, [&](int64_t task, Worker&) {
    const int64_t end = Smaller(groups, (task + 1) * kGroups);
    for (int64_t g = task * kGroups; g < end; ++g) body(g);
  });
}

inline void Uniforms(void* device, const RandomArgs& a) {
  ForGroups(device, a.n, [&](int64_t g) {
    Vec u[4];
    UniformGroup(a, g, u);
    StoreGroup(a, g, u);
  });
}

inline void Normals(void* device, const RandomArgs& a) {
  ForGroups(device, a.n, [&](int64_t g) {
    Vec u[4], x[4];
    UniformGroup(a, g, u);
    for (int h = 0; h < 4; h += 2) {
      Vec cosine, sine;
      CosSinTurns(u[h + 1], &cosine, &sine);
      const Vec radius = Sqrt(Mul(Set1(-2.0f), Log(u[h])));
      x[h] = Mul(radius, cosine);
      x[h + 1] = Mul(radius, sine);
    }
    StoreGroup(a, g, x);
  });
}

// 0 where |x| < 1e-30
inline Vec Flush(Vec x) { return Select(Less(Max(x, Sub(Zero(), x)), Set1(1e-30f)), Zero(), x); }

inline void Adam(void* device, const AdamArgs& a) {
  const Vec beta1 = Set1(a.beta1), rest1 = Set1(1.0f - a.beta1);
  const Vec beta2 = Set1(a.beta2), rest2 = Set1(1.0f - a.beta2);
  const Vec rate = Set1(-a.lr / a.bias1), correct2 = Set1(1.0f / a.bias2), eps = Set1(a.eps);
  const Vec follow = Set1(a.rate);
  const bool left_out = a.tally && a.tally->failed != 0;
  ForChunks(device, a.n, [&](int64_t begin, int64_t end) {
    ForVectors(begin, end, [&](int64_t i, int64_t n) {
      const Vec g = LoadN(a.g + i, n);
      StoreN(a.g + i, Zero(), n);
      if (left_out) return;
      const Vec m = Flush(Fma(beta1, LoadN(a.m + i, n), Mul(rest1, g)));
      const Vec v = Flush(Fma(beta2, LoadN(a.v + i, n), Mul(rest2, Mul(g, g))));
      const Vec step = Div(m, Add(Sqrt(Mul(v, correct2)), eps));
      const Vec w = Fma(rate, step, LoadN(a.w + i, n));
      StoreN(a.m + i, m, n);
      StoreN(a.v + i, v, n);
      StoreN(a.w + i, w, n);
      if (a.target) {
        const Vec t = LoadN(a.target + i, n);
        StoreN(a.target + i, Fma(follow, Sub(w, t), t), n);
      }
    });
  });
}

struct SquashSum {
  Vec action, std_dev, log_prob;
};
inline SquashSum SquashLanes(Vec mean, Vec s, Vec noise, Vec scale, Vec shift) {
  const Vec log_std = Min(Set1(2.0f), Max(Set1(-20.0f), Fma(scale, s, shift)));
  const Vec std_dev = Exp(log_std), u = Fma(std_dev, noise, mean);
  const Vec soft = Softplus(Mul(Set1(-2.0f), u));
  const Vec bend = Sub(Sub(Set1(0.693147181f), u), soft);
  const Vec gauss = Sub(Fma(Mul(noise, noise), Set1(-0.5f), Set1(-0.918938533f)), log_std);
  return {Tanh(u), std_dev, Fma(Set1(-2.0f), bend, gauss)};
}

inline void Squash(void* device, const SquashArgs& a) {
  const int64_t cols = a.outputs.cols / 2, fan = a.fan;
  const Vec scale = Set1(a.scalars[0]), shift = Set1(a.scalars[1]);
  ForRows(device, a.outputs.rows * fan, 16 * cols, [&](int64_t r) {
    const float* mean = RowOf(a.outputs, r / fan);
    float* action = RowOf(a.action, r);
    if (a.states.data)
      std::memcpy(action - a.states.cols, RowOf(a.states, r / fan), size_t(a.states.cols) * 4);
    if (!a.noise) {
      ForVectors(0, cols,
                 [&](int64_t c, int64_t n) { StoreN(action + c, Tanh(LoadN(mean + c, n)), n); });
      return;
    }
    Vec sum = Zero();
    ForVectors(0, cols, [&](int64_t c, int64_t n) {
      const SquashSum x = SquashLanes(LoadN(mean + c, n), LoadN(mean + cols + c, n),
                                      LoadN(a.noise + r * cols + c, n), scale, shift);
      StoreN(action + c, x.action, n);
      if (a.std_dev) StoreN(a.std_dev + r * cols + c, x.std_dev, n);
      sum = Add(sum, Select(FirstLanes(int(n)), x.log_prob, Zero()));
    });
    if (a.log_prob) a.log_prob[r] = ReduceAdd(sum);
  });
}

inline void Relu(void* device, Tensor y) {
  ForRows(device, y.rows, y.cols, [&](int64_t r) {
    float* row = y.f32() + r * y.stride;
    ForVectors(0, y.cols, [&](int64_t c, int64_t n) {
      StoreN(row + c, Max(Zero(), LoadN(row + c, n)), n);  // this order lets NaN through
    });
  });
}

inline void ReluBackward(void* device, Tensor y, Tensor d) {
  ForRows(device, y.rows, y.cols, [&](int64_t r) {
    const float* from = y.f32() + r * y.stride;
    float* row = d.f32() + r * d.stride;
    ForVectors(0, y.cols, [&](int64_t c, int64_t n) {
      const Mask fires = Less(Zero(), LoadN(from + c, n));
      StoreN(row + c, Select(fires, LoadN(row + c, n), Zero()), n);
    });
  });
}

}  // namespace

extern const ControlOperations ALIGNLAB_CONTROL_TABLE;
const ControlOperations ALIGNLAB_CONTROL_TABLE = {
    .uniforms = Uniforms,
    .normals = Normals,
    .draw_rows = DrawRows,
    .adam = Adam,
    .relu = Relu,
    .relu_backward = ReluBackward,
    .squash = Squash,
    .actor_loss = ActorLoss,
    .policy_gradient = PolicyGradient,
    .targets = Targets,
    .discriminator_loss = DiscriminatorLoss,
    .ratio_inputs = RatioInputs,
    .log_ratios = LogRatios,
    .weigh = Weigh,
    .conservative_inputs = ConservativeInputs,
    .conservative_loss = ConservativeLoss,
    .critic_loss = CriticLoss,
};

}  // namespace alignlab
