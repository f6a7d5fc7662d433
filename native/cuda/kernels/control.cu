// Operations of the control learners on numbers and rows: Uniforms, Normals, DrawRows, RatioInputs,
// ConservativeInputs, Adam, Relu, ReluBackward, Squash. Losses are in control_losses.cu and
// control_critics.cu.
#include "cuda/columns.h"
#include "cuda/joined.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int kThreads = 128;
constexpr int kRowsOfBlock = kThreads / kWarp;  // where a warp has a row

__device__ inline int64_t ThreadOfGrid() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }
__device__ inline int64_t RowOfWarp() {
  return int64_t(blockIdx.x) * kRowsOfBlock + threadIdx.x / kWarp;
}
__device__ inline int LaneOfRow() { return int(threadIdx.x % kWarp); }

__device__ inline float* RowOf(const Tensor& t, int64_t r) {
  return static_cast<float*>(t.data) + r * t.stride;
}

// A thread makes the four numbers of one block of the stream.
template <bool kNormal>
struct RandomBody : BodyOf<RandomArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    const int64_t block = ThreadOfGrid(), first = block / 16 * 64 + block % 16;
    if (first >= a.n) return;
    const PhiloxBlock words =
        Philox4x32(a.key, {{uint32_t(block), uint32_t(a.step), uint32_t(a.step >> 32), a.purpose}});
    float x[4];
    ALIGNLAB_UNROLL
    for (int q = 0; q < 4; ++q) x[q] = (float(words.word[q] >> 8) + 0.5f) * 0x1.0p-24f;
    if constexpr (kNormal) {
      ALIGNLAB_UNROLL
      for (int q = 0; q < 4; q += 2) {
        float sine, cosine;
        SinCosPi(2.0f * x[q + 1], &sine, &cosine);
        const float radius = Sqrt(-2.0f * Log(x[q]));
        x[q] = radius * cosine;
        x[q + 1] = radius * sine;
      }
    }
    ALIGNLAB_UNROLL
    for (int q = 0; q < 4; ++q)
      if (first + 16 * q < a.n) a.out[first + 16 * q] = x[q];
  }
};

struct DrawRowsBody : BodyOf<DrawRowsArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    const int64_t i = RowOfWarp();
    if (i >= a.to.rows) return;
    const RowRing& from = i < a.real_rows ? a.real : a.sim;
    const int64_t age = DrawIndex(a.key, a.purpose, a.step, i, from.size);
    const float* row = from.rows + (from.oldest + age) % from.capacity * from.width;
    float* to = RowOf(a.to, i);
    for (int64_t c = LaneOfRow(); c < a.to.cols; c += kWarp) {
      float x = row[c];
      if (a.scale) x = (x - a.shift[c]) * a.scale[c];
      if (a.scale && a.xi) x += a.noise * a.xi[i * a.to.cols + c];
      to[c] = x;
    }
  }
};

struct RatioInputsBody : BodyOf<RatioInputsArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    const int64_t i = RowOfWarp(), each = a.samples + 1;
    if (i >= a.to.rows) return;
    const int64_t transition = i / each, sample = i % each - 1, next = a.to.cols - a.states;
    const float* row = RowOf(a.rows, transition);
    const float* xi = a.xi + (transition * a.samples + sample) * a.states;
    for (int64_t c = LaneOfRow(); c < a.to.cols; c += kWarp) {
      float x = row[c];
      if (sample >= 0 && c >= next) x += xi[c - next] * a.spread[c - next];
      RowOf(a.to, i)[c] = (x - a.shift[c]) * a.scale[c];
    }
  }
};

struct ConservativeInputsBody : BodyOf<ConservativeInputsArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    const int64_t i = RowOfWarp(), states = a.states.cols;
    if (i >= a.to.rows) return;
    const int64_t state = i / (3 * a.n), kind = i / a.n % 3;
    const Tensor& drawn = kind == 0 ? a.drawn[0] : kind == 1 ? a.drawn[1] : a.drawn[2];
    const float* action = RowOf(drawn, state * a.n + i % a.n);
    for (int64_t c = LaneOfRow(); c < a.to.cols; c += kWarp) {
      float x = c < states ? RowOf(a.states, state)[c] : action[c - states];
      if (kind == 0 && c >= states) x = 2.0f * x - 1.0f;
      RowOf(a.to, i)[c] = x;
    }
  }
};

struct AdamUpdate {
  float beta1, rest1, beta2, rest2, rate, correct2, eps, follow;

  explicit AdamUpdate(const AdamArgs& a)
      : beta1(a.beta1),
        rest1(1.0f - a.beta1),
        beta2(a.beta2),
        rest2(1.0f - a.beta2),
        rate(-a.lr / a.bias1),
        correct2(1.0f / a.bias2),
        eps(a.eps),
        follow(a.rate) {}

  __device__ static float Flush(float x) { return (x < 0 ? -x : x) < 1e-30f ? 0.0f : x; }

  __device__ float Weight(float w, float g, float& m, float& v) const {
    m = Flush(Fma(beta1, m, rest1 * g));
    v = Flush(Fma(beta2, v, rest2 * (g * g)));
    return Fma(rate, Divide(m, Sqrt(v * correct2) + eps), w);
  }
};

struct AdamRow {
  RowGrid at;
  AdamUpdate update;
  AdamArgs of;
};

template <bool kWide>
struct AdamBody : BodyOf<AdamRow, RowGrid::kThreads> {
  __device__ static void Run(const AdamRow& row) {
    const AdamArgs& a = row.of;
    const int64_t c = row.at.Column(), left = row.at.cols - c;
    if (left <= 0) return;
    const Four g = LoadFour<kWide>(a.g + c, left);
    StoreFour<kWide>(a.g + c, left, Four{});
    if (a.tally && a.tally->failed != 0) return;
    Four w = LoadFour<kWide>(a.w + c, left);
    Four m = LoadFour<kWide>(a.m + c, left), v = LoadFour<kWide>(a.v + c, left);
    for (int i = 0; i < 4; ++i) w.v[i] = row.update.Weight(w.v[i], g.v[i], m.v[i], v.v[i]);
    StoreFour<kWide>(a.w + c, left, w);
    StoreFour<kWide>(a.m + c, left, m);
    StoreFour<kWide>(a.v + c, left, v);
    if (!a.target) return;
    Four t = LoadFour<kWide>(a.target + c, left);
    for (int i = 0; i < 4; ++i) t.v[i] = Fma(row.update.follow, w.v[i] - t.v[i], t.v[i]);
    StoreFour<kWide>(a.target + c, left, t);
  }
};

struct ReluRows {
  RowGrid at;
  Tensor y, d;  // d: backward only
};

// Comparisons that let NaN through.
template <bool kWide>
struct ReluBody : BodyOf<ReluRows, RowGrid::kThreads> {
  __device__ static void Run(const ReluRows& a) {
    const int64_t c = a.at.Column(), left = a.at.cols - c;
    if (left <= 0) return;
    float* row = RowOf(a.y, a.at.Row()) + c;
    Four x = LoadFour<kWide>(row, left);
    for (float& value : x.v) value = value < 0 ? 0.0f : value;
    StoreFour<kWide>(row, left, x);
  }
};
template <bool kWide>
struct ReluBackwardBody : BodyOf<ReluRows, RowGrid::kThreads> {
  __device__ static void Run(const ReluRows& a) {
    const int64_t c = a.at.Column(), left = a.at.cols - c;
    if (left <= 0) return;
    float* row = RowOf(a.d, a.at.Row()) + c;
    const Four x = LoadFour<kWide>(RowOf(a.y, a.at.Row()) + c, left);
    Four slope = LoadFour<kWide>(row, left);
    for (int i = 0; i < 4; ++i) slope.v[i] = x.v[i] > 0 ? slope.v[i] : 0.0f;
    StoreFour<kWide>(row, left, slope);
  }
};

__device__ inline float SoftplusOf(float x) {
  return (x < 0 ? 0.0f : x) + Log(1.0f + Exp(x < 0 ? x : -x));
}

// A warp has an action: column j is lane j % 32's.
struct SquashBody : BodyOf<SquashArgs, kThreads> {
  __device__ static void Run(const Args& a) {
    const int64_t r = RowOfWarp(), cols = a.outputs.cols / 2;
    if (r >= a.outputs.rows * a.fan) return;
    const float* mean = RowOf(a.outputs, r / a.fan);
    float* action = RowOf(a.action, r);
    if (a.states.data)
      for (int64_t c = LaneOfRow(); c < a.states.cols; c += kWarp)
        action[c - a.states.cols] = RowOf(a.states, r / a.fan)[c];
    float sum = 0;
    for (int64_t c = LaneOfRow(); c < cols; c += kWarp) {
      if (!a.noise) {
        action[c] = Tanh(mean[c]);
        continue;
      }
      const float noise = a.noise[r * cols + c];
      float log_std = Fma(a.scalars[0], mean[cols + c], a.scalars[1]);
      log_std = log_std < -20.0f ? -20.0f : log_std > 2.0f ? 2.0f : log_std;
      const float std_dev = Exp(log_std), u = Fma(std_dev, noise, mean[c]);
      const float bend = 0.693147181f - u - SoftplusOf(-2.0f * u);
      action[c] = Tanh(u);
      if (a.std_dev) a.std_dev[r * cols + c] = std_dev;
      sum += Fma(-2.0f, bend, Fma(noise * noise, -0.5f, -0.918938533f) - log_std);
    }
    sum = WarpSum(sum);
    if (a.noise && a.log_prob && LaneOfRow() == 0) a.log_prob[r] = sum;
  }
};

template <bool kNormal>
void Random(void* device, const RandomArgs& args) {
  const Operation op(device);
  LaunchBody<RandomBody<kNormal>>(op.device(), {CeilDiv(RoundUp(args.n, 64) / 4, kThreads)}, 0,
                                  args);
}

// A matrix without gaps is one row.
Tensor AsOneRow(Tensor t) {
  return t.stride == t.cols ? Tensor{t.data, t.dtype, 1, t.rows * t.cols, t.rows * t.cols} : t;
}

}  // namespace

void Uniforms(void* device, const RandomArgs& args) { Random<false>(device, args); }
void Normals(void* device, const RandomArgs& args) { Random<true>(device, args); }

void DrawRows(void* device, const DrawRowsArgs& args) {
  const Operation op(device);
  LaunchBody<DrawRowsBody>(op.device(), {CeilDiv(args.to.rows, kRowsOfBlock)}, 0, args);
}

void RatioInputs(void* device, const RatioInputsArgs& args) {
  const Operation op(device);
  LaunchBody<RatioInputsBody>(op.device(), {CeilDiv(args.to.rows, kRowsOfBlock)}, 0, args);
}

void ConservativeInputs(void* device, const ConservativeInputsArgs& args) {
  const Operation op(device);
  LaunchBody<ConservativeInputsBody>(op.device(), {CeilDiv(args.to.rows, kRowsOfBlock)}, 0, args);
}

void Adam(void* device, const AdamArgs& args) {
  const Operation op(device);
  const RowGrid at(1, args.n);
  bool wide = args.n % 4 == 0;
  for (const float* x : {args.w, args.g, args.m, args.v, args.target}) wide &= IsWide(x, 4);
  WithFlag(wide, [&](auto flag) {
    LaunchBody<AdamBody<flag()>>(op.device(), at.grid(), 0, {at, AdamUpdate(args), args});
  });
}

void Relu(void* device, Tensor y) {
  const Operation op(device);
  const Tensor flat = AsOneRow(y);
  const RowGrid at(flat.rows, flat.cols);
  WithFlag(IsWide(flat), [&](auto wide) {
    LaunchBody<ReluBody<wide()>>(op.device(), at.grid(), 0, {at, flat, {}});
  });
}

void ReluBackward(void* device, Tensor y, Tensor d) {
  const Operation op(device);
  const bool whole = y.stride == y.cols && d.stride == d.cols;
  const Tensor from = whole ? AsOneRow(y) : y, to = whole ? AsOneRow(d) : d;
  const RowGrid at(to.rows, to.cols);
  WithFlag(IsWide(from) && IsWide(to), [&](auto wide) {
    LaunchBody<ReluBackwardBody<wide()>>(op.device(), at.grid(), 0, {at, from, to});
  });
}

void Squash(void* device, const SquashArgs& args) {
  const Operation op(device);
  LaunchBody<SquashBody>(op.device(), {CeilDiv(args.outputs.rows * args.fan, kRowsOfBlock)}, 0,
                         args);
}

}  // namespace alignlab::cuda
