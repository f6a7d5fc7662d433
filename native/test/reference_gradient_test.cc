// The backward loops of native/reference against central differences of their forward loops: the
// definitions themselves must be right before kernels are compared with them.
#include <functional>

#include "reference/activation.h"
#include "reference/attention.h"
#include "reference/embed.h"
#include "reference/head.h"
#include "reference/linear.h"
#include "reference/norm.h"
#include "reference/qkv.h"
#include "test/harness.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

// Values live in f32 even here, so a difference over +-kStep has a noise of 2^-24 * |loss terms| /
// kStep = 1e-5 and a truncation error of kStep^2 / 6 * f''': both below the tolerance.
constexpr double kStep = 1.0 / 128;
constexpr Tolerance kDifference = {1e-3, 2e-3};

using Loss = std::function<double()>;

double Slope(float* at, const Loss& loss) {
  const float before = *at;
  *at = float(before + kStep);
  const double high = loss(), x_high = *at;
  *at = float(before - kStep);
  const double low = loss(), x_low = *at;
  *at = before;
  return (high - low) / (x_high - x_low);
}

// gradient(i) is what the backward loop says about values[i].
template <class Gradient>
void ExpectGradient(const std::string& what, float* values, int64_t n, const Loss& loss,
                    const Gradient& gradient) {
  ExpectClose(
      what, n, gradient, [&](int64_t i) { return Slope(values + i, loss); }, kDifference);
}

// sum of out * coefficients, whose gradient with respect to out is the coefficients.
double Dot(const Matrix& out, const Matrix& coefficients) {
  double sum = 0;
  for (int64_t r = 0; r < out.rows(); ++r)
    for (int64_t c = 0; c < out.cols(); ++c) sum += out.Get(r, c) * coefficients.Get(r, c);
  return sum;
}

Matrix Zeros(int64_t rows, int64_t cols) {
  Matrix m(DType::kF32, rows, cols);
  m.Fill(0);
  return m;
}
auto Elements(const Matrix& m) {
  return [&m](int64_t i) { return m.Get(i / m.cols(), i % m.cols()); };
}
auto Elements(const std::vector<float>& v) {
  return [&v](int64_t i) { return v[size_t(i)]; };
}

void TestEmbed() {
  Random random(61);
  OwnedWeight table(DType::kF32, 5, 7, random), d_table(DType::kF32, 5, 7);
  const std::vector<int32_t> ids = {3, 0, 3, 4};
  const Matrix d_out(DType::kF32, 4, 7, 0, random);
  Matrix out = Zeros(4, 7);
  const auto loss = [&] {
    reference::Embed({ids.data(), 4, table.weight(), true, false, out.tensor()});
    return Dot(out, d_out);
  };
  reference::EmbedBackward({ids.data(), 4, d_out.tensor(), d_table.weight(), true});
  ExpectGradient("table", table.weight().f32(), 16 * 7, loss,
                 [&](int64_t i) { return d_table.weight().f32()[i]; });
}

void TestNorm() {
  for (NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
    const Context context(kind == NormKind::kRms ? "rms" : "layer");
    Random random(62);
    const int64_t rows = 3, cols = 9;
    Matrix x(DType::kF32, rows, cols, 0, random);
    Matrix y = Zeros(rows, cols), d_x = Zeros(rows, cols);
    const Matrix d_y(DType::kF32, rows, cols, 0, random);
    auto weight = random.Normals(cols), bias = random.Normals(cols);
    std::vector<float> stats(2 * rows), d_weight(cols, 0.0f), d_bias(cols, 0.0f);
    const auto loss = [&] {
      reference::Norm(
          {kind, x.tensor(), weight.data(), bias.data(), 1e-2f, y.tensor(), stats.data()});
      return Dot(y, d_y);
    };
    loss();
    reference::NormBackward({kind, d_y.tensor(), x.tensor(), weight.data(), stats.data(),
                             d_x.tensor(), d_weight.data(), d_bias.data()});
    ExpectGradient("x", x.tensor().f32(), rows * cols, loss, Elements(d_x));
    ExpectGradient("weight", weight.data(), cols, loss, Elements(d_weight));
    if (kind == NormKind::kLayer) ExpectGradient("bias", bias.data(), cols, loss, Elements(d_bias));
  }
}

void TestLinear() {
  Random random(63);
  Matrix x(DType::kF32, 4, 6, 0, random), y = Zeros(4, 5), d_x = Zeros(4, 6);
  OwnedWeight weight(DType::kF32, 5, 6, random), d_weight(DType::kF32, 5, 6);
  auto bias = random.Normals(5);
  std::vector<float> d_bias(5, 0.0f);
  const Matrix d_y(DType::kF32, 4, 5, 0, random);
  const auto loss = [&] {
    reference::Linear({x.tensor(), weight.weight(), bias.data(), y.tensor(), false});
    return Dot(y, d_y);
  };
  reference::LinearInputGrad({d_y.tensor(), weight.weight(), d_x.tensor(), false});
  reference::LinearWeightGrad({d_y.tensor(), x.tensor(), d_weight.weight(), d_bias.data()});
  ExpectGradient("x", x.tensor().f32(), 24, loss, Elements(d_x));
  ExpectGradient("weight", weight.weight().f32(), 16 * 6, loss,
                 [&](int64_t i) { return d_weight.weight().f32()[i]; });
  ExpectGradient("bias", bias.data(), 5, loss, Elements(d_bias));
}

void TestActivation() {
  for (Activation kind : {Activation::kSiluGated, Activation::kGeluTanh, Activation::kGeluErf,
                          Activation::kGeluTanhGated}) {
    const Context context("activation " + std::to_string(int(kind)));
    Random random(64);
    const int64_t width = IsGated(kind) ? 22 : 11;
    Matrix x(DType::kF32, 3, width, 0, random, 2), out = Zeros(3, 11), d_x = Zeros(3, width);
    const Matrix d_out(DType::kF32, 3, 11, 0, random);
    const auto loss = [&] {
      reference::ActivationForward({kind, x.tensor(), out.tensor()});
      return Dot(out, d_out);
    };
    reference::ActivationBackward({kind, x.tensor(), d_out.tensor(), d_x.tensor()});
    ExpectGradient("x", x.tensor().f32(), 3 * width, loss, Elements(d_x));
  }
}

// Two tokens of a page, with and without the norm of Qwen3, rotated in part.
void TestQkv() {
  for (bool norm : {false, true}) {
    const Context context(norm ? "qkv with norm" : "qkv");
    Random random(65);
    const int32_t heads = 2, kv_heads = 1, dim = 6, rotary = 4;
    const int64_t tokens = 2, width = (heads + 2 * kv_heads) * dim;
    Matrix qkv(DType::kF32, tokens, width, 0, random), q = Zeros(tokens, heads * dim);
    const Matrix d_q(DType::kF32, tokens, heads * dim, 0, random);
    const Matrix d_k(DType::kF32, tokens, dim, 0, random), d_v(DType::kF32, tokens, dim, 0, random);
    Matrix d_qkv = Zeros(tokens, width);
    auto q_norm = random.Normals(dim), k_norm = random.Normals(dim);
    std::vector<float> memory(size_t(2 * kPage * dim)), d_q_norm(dim, 0.0f), d_k_norm(dim, 0.0f);
    std::vector<float> cos, sin;
    for (int i = 0; i < 10; ++i) {
      cos.push_back(float(std::cos(0.7 * i)));
      sin.push_back(float(std::sin(0.7 * i)));
    }
    const std::vector<int32_t> positions = {1, 4};
    const std::vector<int64_t> slots = {1, 20};
    const KvPages kv{memory.data(), 2 * kPage * dim, kv_heads, dim};
    const QkvArgs args{qkv.tensor(),
                       heads,
                       kv_heads,
                       dim,
                       rotary,
                       cos.data(),
                       sin.data(),
                       positions.data(),
                       norm ? q_norm.data() : nullptr,
                       norm ? k_norm.data() : nullptr,
                       1e-2f,
                       q.tensor(),
                       slots.data(),
                       kv};
    const auto loss = [&] {
      reference::Qkv(args);
      double sum = Dot(q, d_q);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t k = 0; k < dim; ++k)
          sum += reference::KeyAt(kv, slots[size_t(t)], 0, k) * d_k.Get(t, k) +
                 reference::ValueAt(kv, slots[size_t(t)], 0, k) * d_v.Get(t, k);
      return sum;
    };
    reference::QkvBackward({args, d_q.tensor(), d_k.tensor(), d_v.tensor(), d_qkv.tensor(),
                            d_q_norm.data(), d_k_norm.data()});
    ExpectGradient("qkv", qkv.tensor().f32(), tokens * width, loss, Elements(d_qkv));
    if (!norm) continue;
    ExpectGradient("q_norm", q_norm.data(), dim, loss, Elements(d_q_norm));
    ExpectGradient("k_norm", k_norm.data(), dim, loss, Elements(d_k_norm));
  }
}

// A parent of three tokens with two children: gradients of the parent's keys come from both.
void TestAttention() {
  Random random(66);
  const int32_t heads = 2, dim = 5;
  const int64_t tokens = 8, stride = 2 * kPage * dim;
  const int32_t pages[] = {2, 0, 1};
  const AttentionSegment segments[] = {
      {-1, 0, 3, 0, pages}, {0, 3, 3, 3, pages + 1}, {0, 3, 2, 6, pages + 2}};
  const QueryRun runs[] = {{0, 0, 3, 0}, {1, 0, 3, 3}, {2, 0, 2, 6}};
  Matrix q(DType::kF32, tokens, heads * dim, 0, random), out = Zeros(tokens, heads * dim);
  const Matrix d_out(DType::kF32, tokens, heads * dim, 0, random);
  Matrix d_q = Zeros(tokens, heads * dim), d_k = Zeros(tokens, dim), d_v = Zeros(tokens, dim);
  auto memory = random.Normals(3 * stride);
  std::vector<float> lse(size_t(tokens * heads));
  const KvPages kv{memory.data(), stride, 1, dim};
  const AttentionArgs args{q.tensor(), kv,   heads, 0.4f,         segments,
                           3,          runs, 3,     out.tensor(), lse.data()};
  const auto loss = [&] {
    reference::Attention(args);
    return Dot(out, d_out);
  };
  loss();
  reference::AttentionBackward({args, d_out.tensor(), d_q.tensor(), d_k.tensor(), d_v.tensor()});
  ExpectGradient("q", q.tensor().f32(), tokens * heads * dim, loss, Elements(d_q));
  for (const AttentionSegment& segment : segments)
    for (int64_t t = 0; t < segment.length; ++t)
      for (int64_t k = 0; k < dim; ++k) {
        const int64_t slot = segment.pages[0] * kPage + t, row = segment.row + t;
        ExpectGradient("k", kv.f32() + reference::KeyIndex(kv, slot, 0, k), 1, loss,
                       [&](int64_t) { return d_k.Get(row, k); });
        ExpectGradient("v", kv.f32() + reference::ValueIndex(kv, slot, 0, k), 1, loss,
                       [&](int64_t) { return d_v.Get(row, k); });
      }
}

void TestHead() {
  Random random(67);
  const int64_t rows = 3, width = 6, vocabulary = 11;
  Matrix hidden(DType::kF32, rows, width, 0, random), d_hidden = Zeros(rows, width);
  OwnedWeight weight(DType::kF32, vocabulary, width, random);
  OwnedWeight d_weight(DType::kF32, vocabulary, width);
  const std::vector<int32_t> targets = {4, 0, 10};
  const auto d_logprob = random.Normals(rows), d_entropy = random.Normals(rows);
  std::vector<float> logprob(rows), entropy(rows), lse(rows);
  const HeadArgs args{hidden.tensor(), weight.weight(), targets.data(), logprob.data(),
                      entropy.data(),  lse.data(),      Tensor{}};
  const auto loss = [&] {
    reference::Head(args);
    double sum = 0;
    for (size_t r = 0; r < size_t(rows); ++r)
      sum += double(logprob[r]) * d_logprob[r] + double(entropy[r]) * d_entropy[r];
    return sum;
  };
  loss();
  reference::HeadBackward(
      {args, d_logprob.data(), d_entropy.data(), d_hidden.tensor(), d_weight.weight()});
  ExpectGradient("hidden", hidden.tensor().f32(), rows * width, loss, Elements(d_hidden));
  ExpectGradient("weight", weight.weight().f32(), 16 * width, loss,
                 [&](int64_t i) { return d_weight.weight().f32()[i]; });
}

}  // namespace

int main() {
  TestEmbed();
  TestNorm();
  TestLinear();
  TestActivation();
  TestQkv();
  TestAttention();
  TestHead();
  return Report();
}
